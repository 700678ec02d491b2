//! Applies a put by three tests: whether it knew of the last delete, whether the record stays within its size limits, and the
//! rules of its fields (docs/MODEL.md).

use crate::catalog::{Granularity, OnDelete, Resolution, Rule};
use crate::fold::apply::delete::delete_rule;
use crate::fold::apply::put_size::PutSize;
use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy};
use crate::fold::error::FoldError;
use crate::fold::record::{Delete, Record};
use crate::fold::rules::custom::Decision;
use crate::ids::Position;
use crate::log::verdict::Verdict;
use crate::value::Fields;

impl EventContext<'_> {
    /// Applies a put.
    ///
    /// RULE-2: a put that did not know of the last delete neither brings the record back, nor writes to a record that
    /// somebody else has brought back, unless `on_delete` lets it.
    ///
    /// Returns [`PutSize::TooLarge`] only if the put lost to the size limits: a resolve then leaves its conflict open.
    pub(super) fn put(&mut self, record: &mut Record, given: &Fields) -> Result<PutSize, FoldError> {
        let unknown_delete = record.last_delete.clone().filter(|delete| self.is_concurrent(&delete.writer));
        if let Some(delete) = &unknown_delete
            && let Some(opponent) = self.delete_as_opponent(delete, record)?
        {
            self.lose(record, given, |_, _| Some(opponent.clone()));
            return Ok(PutSize::Fits);
        }
        // If somebody has brought the record back already, there is nothing to undo.
        let undone =
            unknown_delete.as_ref().filter(|_| record.deleted).map(|delete| side_of(&delete.writer, Content::Deleted));
        let undoes_delete = undone.is_some();
        if self.size_of_put(record, given, undoes_delete) == PutSize::TooLarge {
            self.lose_to_limit(record, given, undoes_delete);
            return Ok(PutSize::TooLarge);
        }
        // A record that is new or comes back is a visible change even without fields. It comes back even if the put then loses
        // as a whole: the test against the delete is made once (ADR 0017).
        let mut is_visible_change = record.deleted || record.version == Position::START;
        if record.deleted {
            self.end_tombstone(record, undoes_delete);
        }
        if let Some(undone) = undone {
            // The undone delete has lost: it is the conflict of the field "". A resolve of it deletes the record again.
            self.add_win(record, "", Content::Nothing, undone, delete_rule(self.table));
        }
        if self.table.granularity == Granularity::Record
            && let Some(opponent) = self.writer_as_opponent(record, given)?
        {
            self.lose_to_writer(record, given, &opponent);
        } else {
            for (field, value) in &given.0 {
                is_visible_change |= self.put_field(record, field, value)?;
            }
            self.outcome.verdict = self.verdict_of_put(given);
        }
        if is_visible_change {
            self.mark_visibly_changed(record);
        }
        Ok(PutSize::Fits)
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
                match self.decide(rule, None, (&delete.writer, None))? {
                    Decision::OpWins => return Ok(None),
                    decision => (DecidedBy::Rule(rule.name()), decision == Decision::PersonChooses),
                }
            }
        };
        let winner = Some(side_of(&delete.writer, Content::Deleted));
        Ok(Some(Opponent { winner, rule, asks_a_person }))
    }

    /// Brings a deleted record back: with the fields that the tombstone kept if the put undoes the delete, else with
    /// none.
    fn end_tombstone(&self, record: &mut Record, undoes_delete: bool) {
        let delete_before = record.delete_before.take();
        if undoes_delete {
            record.last_delete = delete_before;
        } else {
            record.fields.clear();
            record.weight = 0;
        }
        record.deleted = false;
    }

    /// Under granularity `record` every field has a say, whether the op sets it or not, except merge fields, whose
    /// contributions never lose to each other. Returns the latest concurrent writer that beats the op.
    fn writer_as_opponent(&self, record: &Record, given: &Fields) -> Result<Option<Opponent>, FoldError> {
        let mut latest: Option<((Position, u8), Opponent)> = None;
        for (name, field) in &record.fields {
            let Resolution::Rule(rule) = self.table.resolution_of(name) else { continue };
            // A field that was a merge field under an earlier catalog may still have several contributors.
            for writer in field.contributors().filter(|writer| self.is_concurrent(writer)) {
                let asks_a_person = match self.decide(rule, given.0.get(name), (writer, Some(&field.value)))? {
                    Decision::OpWins => continue,
                    decision => decision == Decision::PersonChooses,
                };
                // One event may beat the op in several fields. Then a manual field decides, else a field whose custom
                // rule asks a person, else the first by name.
                let priority = u8::from(asks_a_person) + u8::from(*rule == Rule::Manual);
                let rank = (writer.position, priority);
                if latest.as_ref().is_none_or(|(known, _)| rank > *known) {
                    // `lose_to_writer` fills in the content, field by field.
                    let winner = Some(side_of(writer, Content::Nothing));
                    let opponent = Opponent { winner, rule: DecidedBy::Rule(rule.name()), asks_a_person };
                    latest = Some((rank, opponent));
                }
            }
        }
        Ok(latest.map(|(_, opponent)| opponent))
    }

    /// Writes down a put of which no field applies: a conflict for each field that `opponent_of` returns an opponent for.
    pub(super) fn lose(
        &mut self,
        record: &mut Record,
        given: &Fields,
        opponent_of: impl Fn(&Record, &str) -> Option<Opponent>,
    ) {
        for (field, value) in &given.0 {
            if let Some(opponent) = opponent_of(record, field) {
                self.add_loss(record, field, Content::Value(value.clone()), opponent);
            }
        }
        // A put without fields makes no conflict and has lost all the same.
        self.outcome.verdict = match self.verdict_of_put(given) {
            Verdict::Conflict => Verdict::Conflict,
            _ => Verdict::Superseded,
        };
    }

    /// Writes down an op that lost as a whole to one writer: a conflict for each field that it would have changed.
    fn lose_to_writer(&mut self, record: &mut Record, given: &Fields, opponent: &Opponent) {
        for (field, value) in &given.0 {
            let stored = record.fields.get(field).map(|stored| &stored.value);
            // A plain field loses nothing by an equal value. A contribution is lost even if the stored total happens to
            // equal it.
            if stored != Some(value) || self.table.merge_of(field).is_some() {
                let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.clone()));
                let mut opponent = opponent.clone();
                if let Some(winner) = &mut opponent.winner {
                    winner.content = content;
                }
                self.add_loss(record, field, Content::Value(value.clone()), opponent);
            }
        }
        // An equal value counts as kept, so this may be merged or applied.
        self.outcome.verdict = self.verdict_of_put(given);
    }

    /// Writes down a put that is too large. No writer beat it, so the newest one is shown as the winner.
    fn lose_to_limit(&mut self, record: &mut Record, given: &Fields, undoes_delete: bool) {
        // The fields of a tombstone were measured only if the put would bring them back.
        let counts_stored_fields = !record.deleted || undoes_delete;
        let newest = record.newest_contributor().filter(|_| counts_stored_fields);
        self.lose(record, given, |record, field| {
            let stored = record.fields.get(field).filter(|_| counts_stored_fields);
            let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.value.clone()));
            let winner = newest.as_ref().map(|newest| side_of(newest, content));
            Some(Opponent { winner, rule: DecidedBy::Limit, asks_a_person: false })
        });
    }

    /// The verdict of a put, by the conflicts in which it is the loser: one for each field that it lost.
    fn verdict_of_put(&self, given: &Fields) -> Verdict {
        let position = self.event.position;
        let mut lost = self.outcome.conflicts.iter().filter(|conflict| conflict.loser.position == position).peekable();
        if lost.peek().is_none() {
            return Verdict::Applied;
        }
        let mut count = 0;
        for conflict in lost {
            if conflict.status == ConflictStatus::Open {
                return Verdict::Conflict;
            }
            count += 1;
        }
        if count == given.0.len() { Verdict::Superseded } else { Verdict::Merged }
    }
}
