//! Applies a put: first the last delete judges it, then the size limits, then the rules of its fields.

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
    /// RULE-2: a put that did not know of the last delete brings the record back, or writes into its next life, only
    /// where the catalog says that updates win.
    pub(super) fn put(&mut self, record: &mut Record, given: &Fields) -> Result<PutSize, FoldError> {
        let unknown_delete = record.last_delete.clone().filter(|delete| self.is_concurrent(&delete.writer));
        if let Some(delete) = &unknown_delete
            && let Some(opponent) = self.opponent_of_put(delete, record)?
        {
            self.lose(record, given, |_, _| Some(opponent.clone()));
            return Ok(PutSize::Fits);
        }
        let undone =
            unknown_delete.as_ref().filter(|_| record.deleted).map(|delete| side_of(&delete.writer, Content::Deleted));
        let undoes_delete = undone.is_some();
        if self.size_of_put(record, given, undoes_delete) == PutSize::TooLarge {
            self.lose_to_limit(record, given, undoes_delete);
            return Ok(PutSize::TooLarge);
        }
        let mut is_visible = record.deleted || record.version == Position::START;
        if record.deleted {
            self.end_tombstone(record, undoes_delete);
        }
        if let Some(undone) = undone {
            // The undone delete is a loser too: a resolve of this conflict deletes the record again.
            self.add_win(record, "", Content::Nothing, undone, delete_rule(self.table));
        }
        if self.table.granularity == Granularity::Record
            && let Some(opponent) = self.opponent_of_whole_put(record, given)?
        {
            self.lose_to_writer(record, given, &opponent);
        } else {
            for (field, value) in &given.0 {
                is_visible |= self.put_field(record, field, value)?;
            }
            self.outcome.verdict = self.verdict_of_put(given);
        }
        if is_visible {
            self.mark_visibly_changed(record);
        }
        Ok(PutSize::Fits)
    }

    /// The opponent that a put loses to because it did not know of this delete; `None` if the delete lets it pass.
    fn opponent_of_put(&self, delete: &Delete, record: &Record) -> Result<Option<Opponent>, FoldError> {
        let (rule, asks_a_person) = match (self.is_stub(record), self.table.on_delete) {
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

    /// Granularity `record`: the latest foreign writer that beats the op, if one does.
    fn opponent_of_whole_put(&self, record: &Record, given: &Fields) -> Result<Option<Opponent>, FoldError> {
        let mut latest: Option<((Position, u8), Opponent)> = None;
        for (name, field) in &record.fields {
            let Resolution::Rule(rule) = self.table.resolution_of(name) else { continue };
            for writer in field.contributors().filter(|writer| self.is_concurrent(writer)) {
                let asks_a_person = match self.decide(rule, given.0.get(name), (writer, Some(&field.value)))? {
                    Decision::OpWins => continue,
                    decision => decision == Decision::PersonChooses,
                };
                // One event may beat the op in several fields. Then `manual` counts first, then a rule that asks a
                // person, then the order of the names.
                let priority = u8::from(asks_a_person) + u8::from(*rule == Rule::Manual);
                let rank = (writer.position, priority);
                if latest.as_ref().is_none_or(|(known, _)| rank > *known) {
                    let winner = Some(side_of(writer, Content::Nothing));
                    let opponent = Opponent { winner, rule: DecidedBy::Rule(rule.name()), asks_a_person };
                    latest = Some((rank, opponent));
                }
            }
        }
        Ok(latest.map(|(_, opponent)| opponent))
    }

    /// Writes down an op that lost all of its fields: a conflict for each field that `opponent_of` has an opponent for.
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
        self.outcome.verdict = match self.verdict_of_put(given) {
            Verdict::Conflict => Verdict::Conflict,
            _ => Verdict::Superseded,
        };
    }

    /// Writes down an op that lost as a whole to one writer: a conflict for each field that it would have changed.
    fn lose_to_writer(&mut self, record: &mut Record, given: &Fields, opponent: &Opponent) {
        for (field, value) in &given.0 {
            let stored = record.fields.get(field).map(|stored| &stored.value);
            // An equal value loses nothing. A contribution does: an equal total does not mean that it is part of it.
            if stored != Some(value) || self.table.merge_of(field).is_some() {
                let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.clone()));
                let mut opponent = opponent.clone();
                if let Some(winner) = &mut opponent.winner {
                    winner.content = content;
                }
                self.add_loss(record, field, Content::Value(value.clone()), opponent);
            }
        }
        self.outcome.verdict = self.verdict_of_put(given);
    }

    fn lose_to_limit(&mut self, record: &mut Record, given: &Fields, undoes_delete: bool) {
        // The fields that the put was measured together with: those of a tombstone only if the put would bring them
        // back.
        let has_fields = !record.deleted || undoes_delete;
        let newest = record.newest_contributor().filter(|_| has_fields);
        self.lose(record, given, |record, field| {
            let stored = record.fields.get(field).filter(|_| has_fields);
            let content = stored.map_or(Content::Nothing, |stored| Content::Value(stored.value.clone()));
            let winner = newest.as_ref().map(|newest| side_of(newest, content));
            Some(Opponent { winner, rule: DecidedBy::Limit, asks_a_person: false })
        });
    }

    /// The verdict of a put by the conflicts that it lost itself.
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
