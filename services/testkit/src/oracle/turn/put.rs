//! A put against the last delete, the limits, and each field that it gives.

use std::collections::BTreeMap;

use tidelog_core::catalog::{Granularity, OnDelete, Resolution, Rule};
use tidelog_core::value::Value;

use super::{Given, StoredFields, Turn, is_full, side};
use crate::oracle::past::{Did, Onto, Step, Stored, Take};
use crate::oracle::rules::{Choice, clocked_name_of, is_mergeable, name_of};

/// A delete that a put has undone, and the rule by which the delete has lost.
type Undone<'a> = (&'a Step, String);

/// A delete that a put has lost to, the rule, and its choice.
type LostTo<'a> = (&'a Step, String, Choice);

impl<'a> Turn<'a> {
    pub(super) fn put(&mut self, given: &Given) -> Did {
        let (onto, undone) = match self.meet_delete() {
            Ok(met) => met,
            Err((delete, rule, choice)) => {
                for (field, value) in given {
                    self.make_conflict(field, &rule, choice, Some(side(delete, None)), self.own(Some(value)));
                }
                self.lost_whole = given.is_empty();
                return Did::Nothing;
            }
        };
        let stored = if onto == Onto::Recreated { StoredFields::new() } else { self.kept() };
        if self.is_too_large(&stored, given) {
            self.lose_to_the_limits(&stored, given);
            return Did::Nothing;
        }
        if let Some((delete, rule)) = undone {
            self.make_conflict("", &rule, Choice::OpWins, Some(self.own(None)), side(delete, None));
        }
        if self.table.granularity == Granularity::Record && self.loses_as_a_whole(&stored, given) {
            return Did::Put { onto, takes: BTreeMap::new() };
        }
        let mut takes = BTreeMap::new();
        for (field, value) in given {
            if let Some(take) = self.take(field, value, stored.get(field)) {
                takes.insert(field.clone(), take);
                self.overtake(Some(field));
            }
        }
        Did::Put { onto, takes }
    }

    /// Judges the put against the last delete. Returns the state of the record onto which the put comes, with the delete
    /// that it undoes, or else the delete that it loses to.
    fn meet_delete(&mut self) -> Result<(Onto, Option<Undone<'a>>), LostTo<'a>> {
        let (if_known, if_won) =
            if self.is_deleted() { (Onto::Recreated, Onto::Restored) } else { (Onto::Living, Onto::Living) };
        let Some(delete) = self.past.last_delete() else { return Ok((Onto::Living, None)) };
        if !self.is_concurrent(delete) {
            self.note(format!("put that knew the delete: {if_known:?}"));
            return Ok((if_known, None));
        }
        let (rule, choice) = if self.forgets {
            ("retention".to_owned(), Choice::StoredStays)
        } else {
            let word = self.table.on_delete.to_string();
            match self.table.on_delete {
                OnDelete::DeleteWins => (word, Choice::StoredStays),
                OnDelete::UpdateWins => (word, Choice::OpWins),
                OnDelete::Manual => (word, Choice::PersonChooses),
                OnDelete::Rule => {
                    let rule = self.table_rule();
                    (name_of(&rule), self.decide(&rule, delete, None, None))
                }
            }
        };
        let on = if self.is_deleted() { "a tombstone" } else { "a living record" };
        self.note(format!("on_delete {}: put on {on}: {rule} {choice:?}", self.table.on_delete));
        match choice {
            Choice::OpWins => Ok((if_won, (if_won == Onto::Restored).then_some((delete, rule)))),
            Choice::StoredStays | Choice::PersonChooses => Err((delete, rule, choice)),
        }
    }

    /// Judges one field of a put, unless the table has granularity `record` and the put has lost already. `None` if the
    /// stored value stays.
    fn take(&mut self, field: &str, value: &Value, stored: Option<&Stored<'a>>) -> Option<Take> {
        let opponent = stored.and_then(|stored| Some((stored, self.opponents(stored).pop()?)));
        let sets = Some(Take::Sets(value.clone()));
        match self.resolution_of(field) {
            Resolution::Merge(merge) => {
                if is_mergeable(merge, value) && stored.is_none_or(|stored| is_mergeable(merge, &stored.value)) {
                    self.note(format!("merge {merge}: contributes"));
                    let own = |step: &&Step| step.event.device == self.event.device;
                    if stored.is_some_and(|stored| is_full(stored) && !stored.contributors.iter().any(own)) {
                        self.note(format!("merge {merge}: forgets a contributor"));
                    }
                    return Some(Take::Adds(merge, value.clone()));
                }
                self.note(format!("merge {merge}: not mergeable"));
                if let Some((stored, opponent)) = opponent.filter(|(stored, _)| stored.value != *value) {
                    let loser = side(opponent, Some(&stored.value));
                    self.make_conflict(field, &merge.to_string(), Choice::OpWins, Some(self.own(Some(value))), loser);
                }
                sets
            }
            Resolution::Rule(rule) => {
                let Some((stored, opponent)) = opponent else { return sets };
                if is_full(stored) {
                    self.note("rule: meets one of the most contributors");
                }
                let choice = self.decide(&rule, opponent, Some(&stored.value), Some(value));
                let is_equal = stored.value == *value;
                let how = if is_equal { "equal" } else { "differs" };
                self.note(format!("rule {}: {how} {choice:?}", clocked_name_of(&rule)));
                let (theirs, own) = (side(opponent, Some(&stored.value)), self.own(Some(value)));
                let (winner, loser) = if choice == Choice::OpWins { (own, theirs) } else { (theirs, own) };
                if !is_equal {
                    self.make_conflict(field, &name_of(&rule), choice, Some(winner), loser);
                }
                sets.filter(|_| choice == Choice::OpWins)
            }
        }
    }

    /// With granularity `record`: whether a writer that the put did not know beats it in any field. Then the put loses
    /// every field.
    fn loses_as_a_whole(&mut self, stored: &StoredFields<'a>, given: &Given) -> bool {
        let mut beaten = Vec::new();
        for (field, stored) in stored {
            let Resolution::Rule(rule) = self.resolution_of(field) else { continue };
            for opponent in self.opponents(stored) {
                let choice = self.decide(&rule, opponent, Some(&stored.value), given.get(field));
                if choice != Choice::OpWins {
                    beaten.push((opponent, choice, rule.clone()));
                }
            }
        }
        let Some(latest) = beaten.iter().map(|(opponent, ..)| opponent.event.position).max() else {
            self.note("granularity record: beats all");
            return false;
        };
        beaten.retain(|(opponent, ..)| opponent.event.position == latest);
        // If the latest writer won in several fields: a `manual` one, else one where a person chooses, else the first by name.
        let by = beaten.iter().position(|(_, _, rule)| *rule == Rule::Manual);
        let by = by.or_else(|| beaten.iter().position(|(_, choice, _)| *choice == Choice::PersonChooses)).unwrap_or(0);
        let (winner, choice, rule) = &beaten[by];
        self.note(format!("granularity record: loses by {} {choice:?}", name_of(rule)));
        for (field, value) in given {
            let stored = stored.get(field).map(|stored| &stored.value);
            if stored != Some(value) || self.is_merged(field) {
                self.make_conflict(field, &name_of(rule), *choice, Some(side(winner, stored)), self.own(Some(value)));
            }
        }
        true
    }
}
