//! What a put does: first the last delete, then the limits, then the rules.

use std::sync::Arc;

use crate::catalog::{Granularity, Merge, OnDelete, Resolution, Rule};
use crate::fold::apply::delete::delete_rule;
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy};
use crate::fold::folder::FoldError;
use crate::fold::record::FieldState;
use crate::fold::record::{Delete, Record, Writer};
use crate::fold::rules::custom::Decision;
use crate::fold::rules::merge::{self, UnionSize};
use crate::ids::Position;
use crate::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX, UNION_ELEMENTS_MAX};
use crate::log::verdict::Verdict;
use crate::value::{Fields, Value};

/// Whether a put was too large for its record, which leaves the conflict it would have settled as it was.
pub(crate) type TooLarge = bool;

impl EventContext<'_> {
    /// RULE-2: a put that did not know of the last delete brings the record back, or writes into its next life, only where
    /// the catalog says that updates win.
    pub(crate) fn put(&mut self, record: &mut Record, given: &Fields) -> Result<TooLarge, FoldError> {
        let unknown = record.last_delete.clone().filter(|delete| self.is_concurrent(&delete.writer));
        if let Some(delete) = &unknown
            && let Some(opponent) = self.loses_to(delete, record)?
        {
            self.lose(record, given, |_, _| Some(opponent.clone()));
            return Ok(false);
        }
        let undone =
            unknown.as_ref().filter(|_| record.deleted).map(|delete| side_of(&delete.writer, Content::Deleted));
        let restores = record.deleted && unknown.is_some();
        if too_large(self, record, given, restores) {
            self.lose_to_limit(record, given, restores);
            return Ok(true);
        }
        let mut changed = record.deleted || record.version == Position::START;
        if record.deleted {
            self.bring_back(record, restores);
        }
        if let Some(undone) = undone {
            // The delete is a loser too, and one call deletes the record again.
            self.won(record, "", Content::Nothing, undone, delete_rule(self.table));
        }
        if self.table.granularity == Granularity::Record
            && let Some(opponent) = self.beaten_as_a_whole(record, given)?
        {
            self.lose_to_writer(record, given, &opponent);
        } else {
            for (field, value) in &given.0 {
                changed |= self.put_field(record, field, value)?;
            }
            self.folded.verdict = self.verdict(given);
        }
        if changed {
            self.show(record);
        }
        Ok(false)
    }

    /// What a put loses to that did not know of this delete; nothing if it passes.
    fn loses_to(&self, delete: &Delete, record: &Record) -> Result<Option<Opponent>, FoldError> {
        let (rule, asks_a_person) = match (self.is_stub(record), self.table.on_delete) {
            (true, _) => (DecidedBy::Retention, false),
            (false, OnDelete::UpdateWins) => return Ok(None),
            (false, OnDelete::DeleteWins) => (DecidedBy::OnDelete(OnDelete::DeleteWins), false),
            (false, OnDelete::Manual) => (DecidedBy::OnDelete(OnDelete::Manual), true),
            (false, OnDelete::Rule) => {
                let rule = &self.table.rule;
                match self.decide_whole(rule, &delete.writer)? {
                    Decision::OpWins => return Ok(None),
                    decision => (DecidedBy::Rule(rule.name()), decision == Decision::PersonChooses),
                }
            }
        };
        let winner = Some(side_of(&delete.writer, Content::Deleted));
        Ok(Some(Opponent { winner, rule, asks_a_person }))
    }

    fn decide_whole(&self, rule: &Rule, delete: &Writer) -> Result<Decision, FoldError> {
        self.decide(rule, None, (delete, None))
    }

    /// Ends a tombstone: with what it kept, if the delete turns out not to have been, else with nothing.
    fn bring_back(&self, record: &mut Record, restores: bool) {
        let before = record.delete_before.take();
        if restores {
            record.last_delete = before;
        } else {
            record.fields.clear();
            record.weight = 0;
        }
        record.deleted = false;
    }

    /// Granularity `record`: the latest foreign writer that beat the op, if one did.
    fn beaten_as_a_whole(&self, record: &Record, given: &Fields) -> Result<Option<Opponent>, FoldError> {
        let mut latest: Option<((Position, u8), Opponent)> = None;
        for (name, field) in &record.fields {
            let Resolution::Rule(rule) = self.table.resolution_of(name) else { continue };
            for writer in field.contributors().filter(|writer| self.is_concurrent(writer)) {
                let asks_a_person = match self.decide(rule, given.0.get(name), (writer, Some(&field.value)))? {
                    Decision::OpWins => continue,
                    decision => decision == Decision::PersonChooses,
                };
                // Of one event that beat it in several fields: `manual` first, then what asks a person, then by name.
                let weight = u8::from(asks_a_person) + u8::from(*rule == Rule::Manual);
                let place = (writer.position, weight);
                if latest.as_ref().is_none_or(|(known, _)| place > *known) {
                    let winner = Some(side_of(writer, Content::Nothing));
                    let opponent = Opponent { winner, rule: DecidedBy::Rule(rule.name()), asks_a_person };
                    latest = Some((place, opponent));
                }
            }
        }
        Ok(latest.map(|(_, opponent)| opponent))
    }

    /// Sets a field or contributes to it, as its rule says. Whether a reader sees another value.
    fn put_field(&mut self, record: &mut Record, field: &str, value: &Value) -> Result<bool, FoldError> {
        let table = self.table;
        if let Some(merge) = table.merge_of(field) {
            return Ok(self.merge(record, field, value, merge));
        }
        let Some(stored) = record.fields.get(field) else {
            self.take(record, field, value);
            return Ok(true);
        };
        let is_kept = stored.value == *value;
        let Some(opponent) = stored.newest(|writer| self.is_concurrent(writer)).cloned() else {
            self.take(record, field, value);
            return Ok(!is_kept);
        };
        let Resolution::Rule(rule) = table.resolution_of(field) else { return Ok(false) };
        let decision = self.decide(rule, Some(value), (&opponent, Some(&stored.value)))?;
        let stored_value = || Content::Value(stored.value.clone());
        let rule = DecidedBy::Rule(rule.name());
        if decision == Decision::OpWins {
            let loser = (!is_kept).then(|| side_of(&opponent, stored_value()));
            self.take(record, field, value);
            if let Some(loser) = loser {
                self.won(record, field, Content::Value(value.clone()), loser, rule);
            }
            return Ok(!is_kept);
        }
        if !is_kept {
            let winner = Some(side_of(&opponent, stored_value()));
            let asks_a_person = decision == Decision::PersonChooses;
            self.lost(record, field, Content::Value(value.clone()), Opponent { winner, rule, asks_a_person });
        }
        Ok(false)
    }

    /// Contributes to a merge field; where a value cannot be merged, the later position wins.
    fn merge(&mut self, record: &mut Record, field: &str, value: &Value, merge: Merge) -> bool {
        let stored = record.fields.get(field);
        let is_mergeable =
            stored.is_none_or(|stored| merge::is_mergeable(merge, &stored.value)) && merge::is_mergeable(merge, value);
        if !is_mergeable {
            let is_kept = stored.is_some_and(|stored| stored.value == *value);
            let lost = stored.filter(|_| !is_kept).and_then(|stored| {
                let opponent = stored.newest(|writer| self.is_concurrent(writer))?;
                Some(side_of(opponent, Content::Value(stored.value.clone())))
            });
            self.take(record, field, value);
            if let Some(loser) = lost {
                self.won(record, field, Content::Value(value.clone()), loser, DecidedBy::Merge(merge));
            }
            return !is_kept;
        }
        let (total, sum) = merge::contribution(merge, stored, value);
        let is_kept = stored.is_some_and(|stored| stored.value == total);
        record.weight += total.weight();
        match record.fields.get_mut(field) {
            Some(stored) => {
                record.weight -= stored.value.weight();
                stored.contribute(total, sum, &self.writer);
            }
            None => {
                record.weight += field.len();
                let mut first = FieldState::set(Value::Null, Arc::clone(&self.writer));
                first.contribute(total, sum, &self.writer);
                record.fields.insert(field.to_owned(), first);
            }
        }
        self.overtake(record, |id| id.field() == Some(field));
        !is_kept
    }

    /// Sets a field, which overtakes the open conflicts of it that this op knew of.
    fn take(&mut self, record: &mut Record, field: &str, value: &Value) {
        let state = FieldState::set(value.clone(), Arc::clone(&self.writer));
        record.weight += value.weight();
        match record.fields.get_mut(field) {
            Some(stored) => {
                record.weight -= stored.value.weight();
                *stored = state;
            }
            None => {
                record.weight += field.len();
                record.fields.insert(field.to_owned(), state);
            }
        }
        self.overtake(record, |id| id.field() == Some(field));
    }

    /// All of it lost: a row for each field that `to` has an opponent for.
    pub(crate) fn lose(&mut self, record: &mut Record, given: &Fields, to: impl Fn(&Record, &str) -> Option<Opponent>) {
        for (field, value) in &given.0 {
            if let Some(opponent) = to(record, field) {
                self.lost(record, field, Content::Value(value.clone()), opponent);
            }
        }
        self.folded.verdict = match self.verdict(given) {
            Verdict::Conflict => Verdict::Conflict,
            _ => Verdict::Superseded,
        };
    }

    /// Loses whole to a writer: a row for each field that the op would have changed.
    fn lose_to_writer(&mut self, record: &mut Record, given: &Fields, opponent: &Opponent) {
        for (field, value) in &given.0 {
            let stored = record.fields.get(field).map(|stored| &stored.value);
            // Of a contribution an equal total says nothing.
            if stored != Some(value) || self.table.merge_of(field).is_some() {
                let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.clone()));
                let mut to = opponent.clone();
                if let Some(winner) = &mut to.winner {
                    winner.content = content;
                }
                self.lost(record, field, Content::Value(value.clone()), to);
            }
        }
        self.folded.verdict = self.verdict(given);
    }

    fn lose_to_limit(&mut self, record: &mut Record, given: &Fields, restores: bool) {
        // What it was measured with: of a tombstone the fields that it would have brought back.
        let is_with_fields = !record.deleted || restores;
        let newest = record.newest_contributor().filter(|_| is_with_fields);
        self.lose(record, given, |record, field| {
            let stored = record.fields.get(field).filter(|_| is_with_fields);
            let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.value.clone()));
            let winner = newest.as_ref().map(|newest| side_of(newest, content));
            Some(Opponent { winner, rule: DecidedBy::Limit, asks_a_person: false })
        });
    }

    /// By what the op itself lost.
    fn verdict(&self, given: &Fields) -> Verdict {
        let position = self.event.position;
        let mut lost = self.folded.rows.iter().filter(|row| row.loser.position == position).peekable();
        if lost.peek().is_none() {
            return Verdict::Applied;
        }
        let mut count = 0;
        for row in lost {
            if row.status == ConflictStatus::Open {
                return Verdict::Conflict;
            }
            count += 1;
        }
        if count == given.0.len() { Verdict::Superseded } else { Verdict::Merged }
    }
}

/// Whether a record with these fields beside its own would pass the limits, whoever wins in each field. Judged before the
/// rules, so that it needs no second look at what they decided. Only where a union might be too much is it united for that.
fn too_large(op: &EventContext<'_>, record: &Record, given: &Fields, restores: bool) -> bool {
    let is_too_large = |size_of| would_be_too_large(op, record, given, restores, size_of);
    is_too_large(merge::union_size_at_most) && is_too_large(merge::union_size)
}

/// The same, with the size of each union as `size_of` says it of what is stored and given.
fn would_be_too_large(
    op: &EventContext<'_>,
    record: &Record,
    given: &Fields,
    restores: bool,
    size_of: fn(Option<&Value>, &Value) -> UnionSize,
) -> bool {
    let is_with_fields = !record.deleted || restores;
    let (mut fields, mut weight) = if is_with_fields { (record.fields.len(), record.weight) } else { (0, 0) };
    for (name, value) in &given.0 {
        let stored = record.fields.get(name).filter(|_| is_with_fields).map(|stored| &stored.value);
        match stored {
            Some(stored) => weight -= stored.weight(),
            None => (fields, weight) = (fields + 1, weight + name.len()),
        }
        let is_mergeable = |value| merge::is_mergeable(Merge::Union, value);
        if op.table.merge_of(name) == Some(Merge::Union) && is_mergeable(value) && stored.is_none_or(is_mergeable) {
            let union = size_of(stored, value);
            if union.elements > UNION_ELEMENTS_MAX {
                return true;
            }
            weight += union.weight;
        } else {
            if op.table.merge_of(name) == Some(Merge::Union) && merge::elements(value).len() > UNION_ELEMENTS_MAX {
                return true;
            }
            weight += value.weight();
        }
    }
    fields > RECORD_FIELDS_MAX || weight > RECORD_BYTES_MAX
}
