//! A put against the deletes, the limits, and each field that it gives.

use std::collections::BTreeMap;

use tidelog_core::catalog::{Granularity, Merge, OnDelete, Resolution, Rule, RuleName};
use tidelog_core::value::Value;

use super::{Given, StoredFields, Turn, is_full, side};
use crate::oracle::left_out::LeftOut;
use crate::oracle::past::{Did, Onto, Step, Stored, Take};
use crate::oracle::rules::{Choice, Content, clocked_name_of, is_mergeable, name_of};

/// The state of the record onto which a put comes that no delete has beaten.
struct Met<'a> {
    onto: Onto,
    /// The deletes that the put undoes, newest last, and the rule by which the newest has lost.
    undone: Vec<&'a Step>,
    rule: String,
}

/// A delete that a put has lost to (`None` if it is forgotten), the rule, and its choice.
type LostTo<'a> = (Option<&'a Step>, String, Choice);

impl<'a> Turn<'a> {
    pub(super) fn put(&mut self, given: &Given) -> Did {
        let Met { onto, undone, rule } = match self.meet_deletes() {
            Ok(met) => met,
            Err(lost_to) => {
                self.lose_to_a_delete(lost_to, given);
                return Did::Nothing;
            }
        };
        let stored = if onto == Onto::Recreated { StoredFields::new() } else { self.kept() };
        if self.is_too_large(&stored, given) {
            self.lose_to_the_limits(&stored, given);
            return Did::Nothing;
        }
        if let Some(newest) = undone.last() {
            self.make_conflict("", &rule, Choice::OpWins, Some(self.own(None)), side(newest, None));
        }
        let undone = undone.iter().map(|delete| delete.event.position).collect();
        if self.table.granularity == Granularity::Record && self.loses_as_a_whole(&stored, given) {
            return Did::Put { onto, undone, takes: BTreeMap::new() };
        }
        let mut takes = BTreeMap::new();
        for (field, value) in given {
            if let Some(take) = self.take(field, value, stored.get(field)) {
                takes.insert(field.clone(), take);
                self.overtake(Some(field));
            }
        }
        Did::Put { onto, undone, takes }
    }

    /// Judges the put against every delete that it does not know of, the newest first. Returns what it comes onto, or else
    /// the first delete that it loses to.
    fn meet_deletes(&self) -> Result<Met<'a>, LostTo<'a>> {
        let deletes = self.past.deletes();
        let (mut kept, forgotten) = (deletes.kept, deletes.forgotten);
        if self.without == Some(LeftOut::OlderDeletes) {
            kept.drain(..kept.len().saturating_sub(1));
        }
        let unknown: Vec<&Step> = kept.iter().copied().filter(|delete| self.is_concurrent(delete)).collect();
        let mut by = String::new();
        for (index, delete) in unknown.iter().rev().copied().enumerate() {
            let (rule, choice) = self.meet_delete(delete);
            if choice != Choice::OpWins {
                if index > 0 {
                    self.note("deletes: an older one wins");
                }
                return Err((Some(delete), rule, choice));
            }
            if index == 0 {
                by = rule;
            }
        }
        let may_be_unknown = forgotten.is_some_and(|position| position > self.event.base);
        if may_be_unknown && self.table.on_delete != OnDelete::UpdateWins {
            self.note("deletes: a forgotten one wins");
            if self.without != Some(LeftOut::ForgottenDeletes) {
                return Err((None, "limit".to_owned(), Choice::StoredStays));
            }
        }
        let knew_forgotten = forgotten.is_some() && !may_be_unknown;
        let knew_none = unknown.len() == kept.len() && !knew_forgotten;
        let knew_none = knew_none || self.without == Some(LeftOut::KnownDeletes);
        let onto = match (self.is_deleted(), unknown.is_empty(), knew_none) {
            (false, ..) => Onto::Living,
            (true, false, true) => Onto::Restored,
            (true, ..) => Onto::Recreated,
        };
        if !kept.is_empty() {
            let knew = if unknown.is_empty() { "all" } else { ["some", "none"][usize::from(knew_none)] };
            self.note(format!("put that knew {knew} of the deletes: {onto:?}"));
        }
        if onto == Onto::Restored && unknown.len() > 1 {
            self.note("deletes: several undone at once");
        }
        Ok(Met { onto, undone: if onto == Onto::Living { Vec::new() } else { unknown }, rule: by })
    }

    /// Judges the put against one delete that it does not know of.
    fn meet_delete(&self, delete: &Step) -> (String, Choice) {
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
                    (name_of(&rule), self.decide(&rule, delete, Content::Deleted, Content::NotGiven))
                }
            }
        };
        let on = if self.is_deleted() { "a tombstone" } else { "a living record" };
        self.note(format!("on_delete {}: put on {on}: {rule} {choice:?}", self.table.on_delete));
        (rule, choice)
    }

    /// A put that loses to a delete loses as a whole. If a person has to choose and it has no field that would show this,
    /// it has a conflict of its own.
    fn lose_to_a_delete(&mut self, (delete, rule, choice): LostTo<'a>, given: &Given) {
        let winner = delete.map(|delete| side(delete, None));
        for (field, value) in given {
            self.make_conflict(field, &rule, choice, winner.clone(), self.own(Some(value)));
        }
        if given.is_empty() {
            self.lost_whole = true;
            let asks = choice == Choice::PersonChooses && self.table.on_delete == OnDelete::Manual && self.is_deleted();
            if asks {
                self.note("on_delete manual: a put without fields");
            }
            if asks && self.without != Some(LeftOut::PutsWithoutFields) {
                self.make_conflict("", &rule, choice, winner, self.own(None));
            }
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
                    self.note_contribution(merge, stored);
                    return Some(Take::Adds(merge, value.clone()));
                }
                self.note(format!("merge {merge}: not mergeable"));
                if let Some((stored, opponent)) = opponent.filter(|(stored, _)| stored.value != *value) {
                    let loser = side(opponent, Some(&stored.value));
                    let rule = match self.without {
                        Some(LeftOut::NameOfTheLastWrite) => merge.to_string(),
                        _ => RuleName::LastWriteWins.to_string(),
                    };
                    self.make_conflict(field, &rule, Choice::OpWins, Some(self.own(Some(value))), loser);
                }
                sets
            }
            Resolution::Rule(rule) => {
                let Some((stored, opponent)) = opponent else { return sets };
                if is_full(stored) {
                    self.note("rule: meets one of the most contributors");
                }
                let (theirs, own) = (Content::Value(stored.value.clone()), Content::Value(value.clone()));
                let choice = self.decide(&rule, opponent, theirs, own);
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

    fn note_contribution(&self, merge: Merge, stored: Option<&Stored<'a>>) {
        let Some(stored) = stored else { return };
        let has = |does: &dyn Fn(&Step) -> bool| stored.contributors.iter().any(|step| does(step));
        if is_full(stored) && !has(&|step| self.names.are_of_one(step.maker, self.maker)) {
            self.note(format!("merge {merge}: forgets a contributor"));
        }
        if self.maker.0.is_system() && has(&|step| step.maker.0.is_system()) {
            self.note(format!("merge {merge}: the server contributes again"));
        }
        if let (Merge::Union, Value::Array(elements)) = (merge, &stored.value)
            && elements.len() < 100
            && elements.iter().enumerate().any(|(index, element)| elements[..index].contains(element))
        {
            self.note("merge union: drops duplicates");
        }
    }

    /// With granularity `record`: whether a writer that the put did not know beats it in any field. Then the put loses
    /// every field.
    fn loses_as_a_whole(&mut self, stored: &StoredFields<'a>, given: &Given) -> bool {
        let mut beaten = Vec::new();
        for (field, stored) in stored {
            let Resolution::Rule(rule) = self.resolution_of(field) else { continue };
            for opponent in self.opponents(stored) {
                let own = given.get(field).map_or(Content::NotGiven, |value| Content::Value(value.clone()));
                let choice = self.decide(&rule, opponent, Content::Value(stored.value.clone()), own);
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
        let (beater, choice, rule) = &beaten[by];
        self.note(format!("granularity record: loses by {} {choice:?}", name_of(rule)));
        for (field, value) in given {
            let stored = stored.get(field);
            let stands = stored.map(|stored| &stored.value);
            if stands == Some(value) && !self.is_merged(field) {
                continue;
            }
            let winner = match self.without {
                Some(LeftOut::WriterBesideItsValue) => Some(side(beater, stands)),
                _ => stored.map(|stored| side(stored.writer(), stands)),
            };
            if winner.is_none() {
                self.note("granularity record: loses where nothing stood");
            }
            self.make_conflict(field, &name_of(rule), *choice, winner, self.own(Some(value))).beaten_by =
                Some(beater.event.position);
        }
        true
    }
}
