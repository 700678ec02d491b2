//! Writes down the conflicts of an event, in its outcome and in the record, and closes earlier ones.

use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{Conflict, ConflictStatus, Content, DecidedBy, Side, StatusChange};
use crate::fold::record::{ClosedConflict, OpenConflict, Record};
use crate::ids::{ConflictId, Position};
use crate::limits::{CLOSED_CONFLICTS_MAX, OPEN_CONFLICTS_MAX};

impl EventContext<'_> {
    /// Adds a conflict in which this op beat `loser`.
    pub(super) fn add_win(&mut self, record: &mut Record, field: &str, content: Content, loser: Side, rule: DecidedBy) {
        self.add_conflict(
            record,
            Conflict {
                id: ConflictId::of(self.event.position, field),
                field: field.to_owned(),
                rule,
                status: ConflictStatus::Automatic,
                winner: Some(side_of(&self.writer, content)),
                beaten_by: None,
                loser,
            },
        );
    }

    /// Adds a conflict in which this op lost to `opponent`.
    pub(super) fn add_loss(&mut self, record: &mut Record, field: &str, content: Content, opponent: Opponent) {
        let Opponent { winner, beaten_by, rule, asks_a_person } = opponent;
        let is_open = asks_a_person && record.open_conflicts.len() < OPEN_CONFLICTS_MAX;
        self.add_conflict(
            record,
            Conflict {
                id: ConflictId::of(self.event.position, field),
                field: field.to_owned(),
                rule,
                status: if is_open { ConflictStatus::Open } else { ConflictStatus::Automatic },
                winner,
                beaten_by,
                loser: side_of(&self.writer, content),
            },
        );
    }

    fn add_conflict(&mut self, record: &mut Record, conflict: Conflict) {
        let other_side = || {
            let mut sides = conflict.winner.iter().chain([&conflict.loser]);
            sides.find(|side| side.position != self.event.position).map(Side::place)
        };
        // What beat an op as a whole may have written another field than this conflict is about.
        let other = conflict.beaten_by.or_else(other_side);
        match (other, conflict.status) {
            (Some(winner), ConflictStatus::Open) => {
                let open = OpenConflict { winner, loser: conflict.loser.place() };
                record.open_conflicts.insert(conflict.id.clone(), open);
            }
            (other, _) => {
                let closed = ClosedConflict::Automatic(other.map(|other| other.position));
                record.remember_closed((self.event.position, conflict.field.clone()), closed);
            }
        }
        self.outcome.conflicts.push(conflict);
    }

    /// Closes as overtaken every open conflict that `fits` accepts, if this op knew of both its events.
    pub(super) fn overtake(&mut self, record: &mut Record, fits: impl Fn(&ConflictId) -> bool) {
        if record.open_conflicts.is_empty() {
            return;
        }
        let overtaken = record
            .open_conflicts
            .iter()
            .filter(|(id, open)| fits(id) && !self.is_unknown(open.winner) && !self.is_unknown(open.loser));
        let overtaken: Vec<_> = overtaken.map(|(id, _)| id.clone()).collect();
        for conflict in overtaken {
            self.close(record, conflict, ConflictStatus::Overtaken);
        }
    }

    /// Closes a conflict of the record.
    pub(super) fn close(&mut self, record: &mut Record, conflict: ConflictId, status: ConflictStatus) {
        record.open_conflicts.remove(&conflict);
        if let Some((position, field)) = conflict.parts() {
            record.remember_closed((position, field.to_owned()), ClosedConflict::Settled);
        }
        self.outcome.closed.push(StatusChange { id: conflict, status });
    }
}

impl Record {
    /// Remembers a closed conflict, and forgets the oldest one if there are too many.
    fn remember_closed(&mut self, conflict: (Position, String), closed: ClosedConflict) {
        self.closed_conflicts.insert(conflict, closed);
        if self.closed_conflicts.len() > CLOSED_CONFLICTS_MAX {
            self.closed_conflicts.pop_first();
        }
    }
}
