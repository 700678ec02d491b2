//! Applies one field of a put: sets it, contributes to it, or loses it.

use std::sync::Arc;

use crate::catalog::{Merge, Resolution, RuleName};
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{Content, DecidedBy};
use crate::fold::error::FoldError;
use crate::fold::record::{FieldState, Record};
use crate::fold::rules::custom::Decision;
use crate::fold::rules::merge;
use crate::value::Value;

impl EventContext<'_> {
    /// Sets a field or contributes to it, as its rule says. Returns whether a reader sees another value afterwards.
    pub(super) fn put_field(&mut self, record: &mut Record, field: &str, value: &Value) -> Result<bool, FoldError> {
        let table = self.table;
        if let Some(merge) = table.merge_of(field) {
            return Ok(self.merge(record, field, value, merge));
        }
        let Some(stored) = record.fields.get(field) else {
            self.set(record, field, value);
            return Ok(true);
        };
        let is_equal = stored.value == *value;
        let Some(opponent) = stored.newest(|writer| self.is_concurrent(writer)).cloned() else {
            self.set(record, field, value);
            return Ok(!is_equal);
        };
        let Resolution::Rule(rule) = table.resolution_of(field) else { return Ok(false) };
        let decision = self.decide(rule, Content::Value(value), (&opponent, Content::Value(&stored.value)))?;
        let stored_value = || Content::Value(stored.value.clone());
        let rule = DecidedBy::Rule(rule.name());
        if decision == Decision::OpWins {
            let loser = (!is_equal).then(|| side_of(&opponent, stored_value()));
            self.set(record, field, value);
            if let Some(loser) = loser {
                self.add_win(record, field, Content::Value(value.clone()), loser, rule);
            }
            return Ok(!is_equal);
        }
        if !is_equal {
            let winner = Some(side_of(&opponent, stored_value()));
            let asks_a_person = decision == Decision::PersonChooses;
            let opponent = Opponent { winner, beaten_by: None, rule, asks_a_person };
            self.add_loss(record, field, Content::Value(value.clone()), opponent);
        }
        Ok(false)
    }

    /// Contributes to a merge field. Where one of the values cannot be merged, which only a change of the catalog can bring
    /// about, the later position wins. Returns whether a reader sees another value afterwards.
    fn merge(&mut self, record: &mut Record, field: &str, value: &Value, merge: Merge) -> bool {
        let stored = record.fields.get(field);
        let is_mergeable =
            stored.is_none_or(|stored| merge::is_mergeable(merge, &stored.value)) && merge::is_mergeable(merge, value);
        if !is_mergeable {
            let is_equal = stored.is_some_and(|stored| stored.value == *value);
            let loser = stored.filter(|_| !is_equal).and_then(|stored| {
                let opponent = stored.newest(|writer| self.is_concurrent(writer))?;
                Some(side_of(opponent, Content::Value(stored.value.clone())))
            });
            self.set(record, field, value);
            if let Some(loser) = loser {
                let rule = DecidedBy::Rule(RuleName::LastWriteWins);
                self.add_win(record, field, Content::Value(value.clone()), loser, rule);
            }
            return !is_equal;
        }
        let (total, sum) = merge::contribution(merge, stored, value);
        let is_equal = stored.is_some_and(|stored| stored.value == total);
        record.weight += total.weight();
        match record.fields.get_mut(field) {
            Some(stored) => {
                record.weight -= stored.value.weight();
                stored.contribute(total, sum, &self.writer, self.rules.aliases);
            }
            None => {
                record.weight += field.len();
                let first = FieldState::contributed(total, sum, Arc::clone(&self.writer));
                record.fields.insert(field.to_owned(), first);
            }
        }
        self.overtake(record, |id| id.field() == Some(field));
        !is_equal
    }

    /// Sets a field, and overtakes the open conflicts of the field that this op knew of.
    fn set(&mut self, record: &mut Record, field: &str, value: &Value) {
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
}
