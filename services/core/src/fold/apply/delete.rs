//! Applies a delete. Its opponents are the writers of fields that it did not know of.

use crate::catalog::{OnDelete, Table};
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy, Side};
use crate::fold::error::FoldError;
use crate::fold::record::{Delete, Record};
use crate::fold::rules::custom::Decision;
use crate::log::verdict::Verdict;

impl EventContext<'_> {
    /// Makes the record a tombstone, even if no event has named it before, unless an opponent beats the delete.
    pub(super) fn delete(&mut self, record: &mut Record) -> Result<(), FoldError> {
        if let Some(opponent) = self.opponent_of_delete(record)? {
            self.lose_delete(record, opponent);
            return Ok(());
        }
        let rule = delete_rule(self.table);
        for (field, loser) in self.losers_to_delete(record) {
            self.add_win(record, &field, Content::Deleted, loser, rule);
        }
        self.bury(record);
        Ok(())
    }

    /// Writes down a delete that lost: one conflict, with the field `""`.
    pub(super) fn lose_delete(&mut self, record: &mut Record, opponent: Opponent) {
        self.add_loss(record, "", Content::Deleted, opponent);
        let is_open = self.outcome.conflicts.iter().any(|conflict| conflict.status == ConflictStatus::Open);
        self.outcome.verdict = if is_open { Verdict::Conflict } else { Verdict::Superseded };
    }

    /// The latest writer that beats this delete, if one does. Deletes are never each other's opponents.
    fn opponent_of_delete(&self, record: &Record) -> Result<Option<Opponent>, FoldError> {
        let on_delete = self.table.on_delete;
        if record.deleted || on_delete == OnDelete::DeleteWins {
            return Ok(None);
        }
        let mut latest: Option<(Side, bool)> = None;
        for field in record.fields.values() {
            for writer in field.contributors().filter(|writer| self.is_concurrent(writer)) {
                let asks_a_person = match on_delete {
                    OnDelete::DeleteWins => continue,
                    OnDelete::UpdateWins => false,
                    OnDelete::Manual => true,
                    OnDelete::Rule => {
                        match self.decide(&self.table.rule, Content::Deleted, (writer, Content::Value(&field.value)))? {
                            Decision::OpWins => continue,
                            decision => decision == Decision::PersonChooses,
                        }
                    }
                };
                let is_later = latest.as_ref().is_none_or(|(known, asked)| {
                    writer.position > known.position || (writer.position == known.position && asks_a_person && !asked)
                });
                if is_later {
                    latest = Some((side_of(writer, Content::NotGiven), asks_a_person));
                }
            }
        }
        let rule = delete_rule(self.table);
        Ok(latest.map(|(winner, asks_a_person)| Opponent {
            winner: Some(winner),
            beaten_by: None,
            rule,
            asks_a_person,
        }))
    }

    /// The fields that this delete deletes without having known of them, each with its newest concurrent writer.
    fn losers_to_delete(&self, record: &Record) -> Vec<(String, Side)> {
        if record.deleted {
            return Vec::new();
        }
        let losers = record.fields.iter().filter_map(|(name, field)| {
            let opponent = field.newest(|writer| self.is_concurrent(writer))?;
            Some((name.clone(), side_of(opponent, Content::Value(field.value.clone()))))
        });
        losers.collect()
    }

    /// Makes the record a tombstone. It keeps its fields and their writers for the retention of the table.
    fn bury(&mut self, record: &mut Record) {
        if !record.deleted {
            self.mark_visibly_changed(record);
            record.deletes_before = std::mem::take(&mut record.deletes);
        }
        record.deleted = true;
        record.deletes.add(Delete { writer: (*self.writer).clone(), received_at: self.event.received_at });
        self.overtake(record, |_| true);
    }
}

/// What decides between deletes and puts in a table.
pub(super) fn delete_rule(table: &Table) -> DecidedBy {
    match table.on_delete {
        OnDelete::Rule => DecidedBy::Rule(table.rule.name()),
        on_delete => DecidedBy::OnDelete(on_delete),
    }
}
