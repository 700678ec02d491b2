//! Judges a put by the deletes since the record last lived, and undoes those that it beats.

use crate::catalog::OnDelete;
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{Content, DecidedBy, Side};
use crate::fold::error::FoldError;
use crate::fold::record::{Delete, Record};
use crate::fold::rules::custom::Decision;
use crate::value::Fields;

impl EventContext<'_> {
    /// The deletes that this op did not know of, the newest first.
    fn unknown_deletes<'r>(&self, record: &'r Record) -> impl Iterator<Item = &'r Delete> {
        record.deletes.kept.iter().rev().filter(|delete| self.is_concurrent(&delete.writer))
    }

    /// The newest delete that this op did not know of, as one side of a conflict.
    pub(super) fn newest_unknown_delete(&self, record: &Record) -> Option<Side> {
        self.unknown_deletes(record).next().map(|delete| side_of(&delete.writer, Content::Deleted))
    }

    /// Whether this op knew of no delete since the record last lived.
    pub(super) fn knows_no_delete(&self, record: &Record) -> bool {
        let deletes = &record.deletes;
        deletes.lost.is_none_or(|lost| lost > self.event.base)
            && deletes.kept.iter().all(|delete| self.is_concurrent(&delete.writer))
    }

    /// The newest delete that this put did not know of and that beats it; `None` if `on_delete` lets the put pass all.
    pub(super) fn opponent_among_deletes(&self, record: &Record) -> Result<Option<Opponent>, FoldError> {
        for delete in self.unknown_deletes(record) {
            if let Some(opponent) = self.delete_as_opponent(delete, record)? {
                return Ok(Some(opponent));
            }
        }
        // Nobody can say whether the put would have beaten a delete that had no room.
        let is_unknown = record.deletes.lost.is_some_and(|lost| self.event.base < lost);
        let loses = is_unknown && self.table.on_delete != OnDelete::UpdateWins;
        let (winner, rule) = (None, DecidedBy::Limit);
        Ok(loses.then_some(Opponent { winner, beaten_by: None, rule, asks_a_person: false }))
    }

    /// The delete as the opponent of a put that did not know of it; `None` if `on_delete` lets the put pass.
    fn delete_as_opponent(&self, delete: &Delete, record: &Record) -> Result<Option<Opponent>, FoldError> {
        let (rule, asks_a_person) = match (self.is_stub(record), self.table.on_delete) {
            // A stub has no fields that the put could bring back, so `on_delete` is not asked.
            (true, _) => (DecidedBy::Retention, false),
            (false, OnDelete::UpdateWins) => return Ok(None),
            (false, OnDelete::DeleteWins) => (DecidedBy::OnDelete(OnDelete::DeleteWins), false),
            (false, OnDelete::Manual) => (DecidedBy::OnDelete(OnDelete::Manual), true),
            (false, OnDelete::Rule) => {
                let rule = &self.table.rule;
                match self.decide(rule, Content::NotGiven, (&delete.writer, Content::Deleted))? {
                    Decision::OpWins => return Ok(None),
                    decision => (DecidedBy::Rule(rule.name()), decision == Decision::PersonChooses),
                }
            }
        };
        let winner = Some(side_of(&delete.writer, Content::Deleted));
        Ok(Some(Opponent { winner, beaten_by: None, rule, asks_a_person }))
    }

    /// Writes down a put that lost to a delete: a conflict for each of its fields. One without fields has a conflict only if
    /// a person has to say whether the record comes back.
    pub(super) fn lose_to_delete(&mut self, record: &mut Record, given: &Fields, opponent: Opponent) {
        let asks_for_return = record.deleted && opponent.rule == DecidedBy::OnDelete(OnDelete::Manual);
        if given.0.is_empty() && asks_for_return {
            self.add_loss(record, "", Content::NotGiven, opponent);
            self.lose_verdict(given);
        } else {
            self.lose(record, given, |_, _| Some(opponent.clone()));
        }
    }

    /// Brings a deleted record back. If the put knew of none of its deletes, all of them have lost: what the tombstone kept
    /// comes back, and the deletes before it hold again. Otherwise the deletes that the put knew of hold, and the record
    /// starts without fields.
    pub(super) fn end_tombstone(&self, record: &mut Record, restores: bool) {
        let deletes_before = std::mem::take(&mut record.deletes_before);
        if restores {
            record.deletes = deletes_before;
        } else {
            record.deletes.kept.retain(|delete| !self.is_concurrent(&delete.writer));
            record.fields.clear();
            record.weight = 0;
        }
        record.deleted = false;
    }
}
