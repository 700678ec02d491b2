//! What a delete does: its opponents are those who wrote what it did not know of.

use crate::catalog::{OnDelete, Table};
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy, Side};
use crate::fold::folder::FoldError;
use crate::fold::record::{Delete, Record};
use crate::fold::rules::custom::Decision;
use crate::log::verdict::Verdict;

impl EventContext<'_> {
    /// Leaves a tombstone, also of a record never seen, unless an opponent beats it.
    pub(crate) fn delete(&mut self, record: &mut Record) -> Result<(), FoldError> {
        if let Some(opponent) = self.beats_the_delete(record)? {
            self.lose_delete(record, opponent);
            return Ok(());
        }
        let rule = delete_rule(self.table);
        for (field, loser) in self.losers(record) {
            self.won(record, &field, Content::Deleted, loser, rule);
        }
        self.bury(record);
        Ok(())
    }

    /// A delete that lost: one row, of no field.
    pub(crate) fn lose_delete(&mut self, record: &mut Record, to: Opponent) {
        self.lost(record, "", Content::Deleted, to);
        let is_open = self.folded.rows.iter().any(|row| row.status == ConflictStatus::Open);
        self.folded.verdict = if is_open { Verdict::Conflict } else { Verdict::Superseded };
    }

    /// The latest opponent that beats this delete, if one does. Deletes are never each other's opponents.
    fn beats_the_delete(&self, record: &Record) -> Result<Option<Opponent>, FoldError> {
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
                    OnDelete::Rule => match self.decide(&self.table.rule, None, (writer, Some(&field.value)))? {
                        Decision::OpWins => continue,
                        decision => decision == Decision::PersonChooses,
                    },
                };
                let is_later = latest.as_ref().is_none_or(|(known, asked)| {
                    writer.position > known.position || (writer.position == known.position && asks_a_person && !asked)
                });
                if is_later {
                    latest = Some((side_of(writer, Content::Nothing), asks_a_person));
                }
            }
        }
        let rule = delete_rule(self.table);
        Ok(latest.map(|(winner, asks_a_person)| Opponent { winner: Some(winner), rule, asks_a_person }))
    }

    /// The fields whose writers did not win against this delete, with the newest of each.
    fn losers(&self, record: &Record) -> Vec<(String, Side)> {
        if record.deleted {
            return Vec::new();
        }
        let losers = record.fields.iter().filter_map(|(name, field)| {
            let opponent = field.newest(|writer| self.is_concurrent(writer))?;
            Some((name.clone(), side_of(opponent, Content::Value(field.value.clone()))))
        });
        losers.collect()
    }

    /// The tombstone keeps the fields with their writers, for as long as the table's retention.
    fn bury(&mut self, record: &mut Record) {
        if !record.deleted {
            self.show(record);
        }
        record.deleted = true;
        let delete = Delete { writer: (*self.writer).clone(), received_at: self.event.received_at };
        record.delete_before = record.last_delete.replace(delete);
        self.overtake(record, |_| true);
    }
}

/// What decides between deletes and puts of a table.
pub(crate) fn delete_rule(table: &Table) -> DecidedBy {
    match table.on_delete {
        OnDelete::Rule => DecidedBy::Rule(table.rule.name()),
        on_delete => DecidedBy::OnDelete(on_delete),
    }
}
