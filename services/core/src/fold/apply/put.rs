//! Applies a put by three tests: whether it knew of the deletes of the record, whether the record stays within its size
//! limits, and the rules of its fields (docs/MODEL.md).

use crate::catalog::{Granularity, Resolution, Rule};
use crate::fold::apply::delete::delete_rule;
use crate::fold::apply::put_size::PutSize;
use crate::fold::apply::{EventContext, Opponent, side_of_field};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy};
use crate::fold::error::FoldError;
use crate::fold::record::Record;
use crate::fold::rules::custom::Decision;
use crate::ids::Position;
use crate::log::verdict::Verdict;
use crate::value::Fields;

impl EventContext<'_> {
    /// Applies a put.
    ///
    /// RULE-2: a put that did not know of a delete since the record last lived neither brings the record back, nor writes
    /// to a record that somebody else has brought back, unless `on_delete` lets it.
    ///
    /// Returns [`PutSize::TooLarge`] only if the put lost to the size limits: a resolve then leaves its conflict open.
    pub(super) fn put(&mut self, record: &mut Record, given: &Fields) -> Result<PutSize, FoldError> {
        if let Some(opponent) = self.opponent_among_deletes(record)? {
            self.lose_to_delete(record, given, opponent);
            return Ok(PutSize::Fits);
        }
        // If somebody has brought the record back already, there is nothing to undo.
        let undone = if record.deleted { self.newest_unknown_delete(record) } else { None };
        let restores = undone.is_some() && self.knows_no_delete(record);
        if self.size_of_put(record, given, restores) == PutSize::TooLarge {
            self.lose_to_limit(record, given, restores);
            return Ok(PutSize::TooLarge);
        }
        // A record that is new or comes back is a visible change even without fields. It comes back even if the put then loses
        // as a whole: the test against the deletes is made once (ADR 0017).
        let mut is_visible_change = record.deleted || record.version == Position::START;
        if record.deleted {
            self.end_tombstone(record, restores);
        }
        if let Some(undone) = undone {
            // The undone delete has lost: it is the conflict of the field "". A resolve of it deletes the record again.
            self.add_win(record, "", Content::NotGiven, undone, delete_rule(self.table));
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

    /// Under granularity `record` every field has a say, whether the op sets it or not, except merge fields, whose
    /// contributions never lose to each other. Returns the latest concurrent writer that beats the op.
    fn writer_as_opponent(&self, record: &Record, given: &Fields) -> Result<Option<Opponent>, FoldError> {
        let mut latest: Option<((Position, u8), Opponent)> = None;
        for (name, field) in &record.fields {
            let Resolution::Rule(rule) = self.table.resolution_of(name) else { continue };
            // A field that was a merge field under an earlier catalog may still have several contributors.
            for writer in field.contributors().filter(|writer| self.is_concurrent(writer)) {
                let content = given.0.get(name).map_or(Content::NotGiven, Content::Value);
                let asks_a_person = match self.decide(rule, content, (writer, Content::Value(&field.value)))? {
                    Decision::OpWins => continue,
                    decision => decision == Decision::PersonChooses,
                };
                // One event may beat the op in several fields. Then a manual field decides, else a field whose custom
                // rule asks a person, else the first by name.
                let priority = u8::from(asks_a_person) + u8::from(*rule == Rule::Manual);
                let rank = (writer.position, priority);
                if latest.as_ref().is_none_or(|(known, _)| rank > *known) {
                    // `lose_to_writer` fills in what stands in each field.
                    let (beaten_by, rule) = (Some(writer.place()), DecidedBy::Rule(rule.name()));
                    let opponent = Opponent { winner: None, beaten_by, rule, asks_a_person };
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
        self.lose_verdict(given);
    }

    /// Sets the verdict of a put of which no field applies. One without fields may have no conflict, and has lost all the
    /// same.
    pub(super) fn lose_verdict(&mut self, given: &Fields) {
        self.outcome.verdict = match self.verdict_of_put(given) {
            Verdict::Conflict => Verdict::Conflict,
            _ => Verdict::Superseded,
        };
    }

    /// Writes down an op that lost as a whole to one writer: a conflict for each field that it would have changed, whose
    /// winner is the value that stands there.
    fn lose_to_writer(&mut self, record: &mut Record, given: &Fields, opponent: &Opponent) {
        for (field, value) in &given.0 {
            let stored = record.fields.get(field);
            // A plain field loses nothing by an equal value. A contribution is lost even if the stored total happens to
            // equal it.
            if stored.map(|stored| &stored.value) != Some(value) || self.table.merge_of(field).is_some() {
                let opponent = Opponent { winner: stored.map(side_of_field), ..opponent.clone() };
                self.add_loss(record, field, Content::Value(value.clone()), opponent);
            }
        }
        // An equal value counts as kept, so this may be merged or applied.
        self.outcome.verdict = self.verdict_of_put(given);
    }

    /// Writes down a put that is too large. No writer beat it; what stands in a field is shown as the winner.
    fn lose_to_limit(&mut self, record: &mut Record, given: &Fields, restores: bool) {
        // The fields of a tombstone were measured only if the put would bring them back.
        let counts_stored_fields = !record.deleted || restores;
        self.lose(record, given, |record, field| {
            let stored = record.fields.get(field).filter(|_| counts_stored_fields);
            let winner = stored.map(side_of_field);
            Some(Opponent { winner, beaten_by: None, rule: DecidedBy::Limit, asks_a_person: false })
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
