//! The conflicts that an event makes, overtakes, or finds closed.

use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::limits::OPEN_CONFLICTS_MAX;
use tidelog_core::value::Fields;

use super::{Place, Turn, newest_writer, side};
use crate::oracle::left_out::LeftOut;
use crate::oracle::rules::Choice;
use crate::oracle::shapes::{OracleConflict, OracleSide, RecordKey, Status};

/// Closed conflicts that a record remembers at most.
const CLOSED_CONFLICTS_MAX: usize = 1_000;

impl Turn<'_> {
    /// A resolve of a conflict that another op has closed: it loses to what stands.
    pub(super) fn lose_to_the_resolved(&mut self) {
        self.lost_whole = true;
        let (stored, delete) = (self.live(), self.past.newest_delete());
        let (delete_side, newest) = (delete.map(|step| side(step, None)), newest_writer(&stored));
        let elsewhere = match self.without {
            Some(LeftOut::NobodyWhereNothingStood) => delete_side.or(newest.map(|step| side(step, None))),
            _ => delete_side,
        };
        let Some(Fields(given)) = self.event.intent.fields() else {
            self.note(format!("resolved: a delete{}", if delete.is_some() { " of what is deleted" } else { "" }));
            if delete.is_none() || self.without == Some(LeftOut::DeletedAlready) {
                self.make_conflict("", "resolved", Choice::StoredStays, elsewhere, self.own(None));
            }
            return;
        };
        for (field, value) in given {
            let stored = stored.get(field);
            if stored.is_some_and(|stored| stored.value == *value) && !self.is_merged(field) {
                continue;
            }
            let winner = stored.map(|stored| side(stored.writer(), Some(&stored.value))).or_else(|| elsewhere.clone());
            self.make_conflict(field, "resolved", Choice::StoredStays, winner, self.own(Some(value)));
        }
    }

    /// Closes the open conflicts of a field (`None`: of all fields) of which the event knew both sides: by writing the field
    /// it has made the choice. Each one makes room for another open conflict.
    pub(super) fn overtake(&mut self, written: Option<&str>) {
        let is_written = |field: &str| written.is_none_or(|written| written == field);
        let is_unknown = |position: Position| self.is_unknown(position, self.made_by[&position]);
        let overtaken = self.known.iter().filter(|(place, conflict)| {
            conflict.status == Status::Open
                && self.named.is_none_or(|(named, _)| named != *place)
                && is_written(&conflict.field)
                && !conflict.loser.event.is_some_and(|(position, _)| is_unknown(position))
                && !conflict.opponent().is_some_and(is_unknown)
        });
        let overtaken: Vec<_> = overtaken.map(|(place, _)| (*place).clone()).collect();
        self.open_conflicts -= overtaken.len();
        self.overtakes.extend(overtaken);
    }

    pub(super) fn make_conflict(
        &mut self,
        field: &str,
        rule: &str,
        choice: Choice,
        winner: Option<OracleSide>,
        loser: OracleSide,
    ) -> &mut OracleConflict {
        let has_room = self.open_conflicts < OPEN_CONFLICTS_MAX;
        if choice == Choice::PersonChooses && !has_room {
            self.note("manual: no room for one more");
        }
        let is_open = choice == Choice::PersonChooses && has_room;
        self.open_conflicts += usize::from(is_open);
        self.note(format!("conflict {rule} {choice:?}"));
        let made = OracleConflict {
            id: ConflictId::of(self.event.position, field),
            record: RecordKey::of(self.event),
            field: field.to_owned(),
            rule: rule.to_owned(),
            status: if is_open { Status::Open } else { Status::Automatic },
            winner,
            beaten_by: None,
            loser,
            closed_by: None,
        };
        self.made.push(made);
        let newest = self.made.len() - 1;
        &mut self.made[newest]
    }
}

/// The conflict with an id, if it is open or among the latest closed ones.
pub(super) fn remembered<'a>(
    known: &[(&'a Place, &'a OracleConflict)],
    id: &ConflictId,
) -> Option<(&'a Place, &'a OracleConflict)> {
    let (place, conflict) = known.iter().find(|(_, conflict)| conflict.id == *id)?;
    let is_closed_later =
        |(other, conflict): &&(&Place, &OracleConflict)| conflict.status != Status::Open && other > place;
    let closed_later = known.iter().filter(is_closed_later).count();
    (conflict.status == Status::Open || closed_later < CLOSED_CONFLICTS_MAX).then_some((place, conflict))
}
