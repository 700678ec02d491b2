//! The conflicts that an event makes, overtakes, or finds closed.

use tidelog_core::ids::ConflictId;
use tidelog_core::limits::OPEN_CONFLICTS_MAX;
use tidelog_core::value::Fields;

use super::{Place, Turn, newest_writer, side};
use crate::oracle::rules::Choice;
use crate::oracle::shapes::{OracleConflict, OracleSide, RecordKey, Status};

/// Closed conflicts that a record remembers at most.
const CLOSED_CONFLICTS_MAX: usize = 1_000;

impl Turn<'_> {
    /// A resolve of a conflict that another op has closed: it loses.
    pub(super) fn lose_to_the_resolved(&mut self) {
        self.lost_whole = true;
        let stored = self.live();
        let delete = self.past.last_delete().filter(|_| self.is_deleted());
        let elsewhere = delete.or(newest_writer(&stored)).map(|step| side(step, None));
        let Some(Fields(given)) = self.event.intent.fields() else {
            self.make_conflict("", "resolved", Choice::StoredStays, elsewhere, self.own(None));
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
        let is_unknown = |side: &OracleSide| side.event.is_some_and(|(at, device)| self.is_unknown(at, device));
        let overtaken = self.known.iter().filter(|(place, conflict)| {
            conflict.status == Status::Open
                && self.named.is_none_or(|(named, _)| named != *place)
                && is_written(&conflict.field)
                && !is_unknown(&conflict.loser)
                && !conflict.winner.as_ref().is_some_and(is_unknown)
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
    ) {
        let has_room = self.open_conflicts < OPEN_CONFLICTS_MAX;
        if choice == Choice::PersonChooses && !has_room {
            self.note("manual: no room for one more");
        }
        let may_open = winner.is_some() && has_room;
        let is_open = choice == Choice::PersonChooses && may_open;
        self.open_conflicts += usize::from(is_open);
        self.note(format!("conflict {rule} {choice:?}"));
        self.made.push(OracleConflict {
            id: ConflictId::of(self.event.position, field),
            record: RecordKey::of(self.event),
            field: field.to_owned(),
            rule: rule.to_owned(),
            status: if is_open { Status::Open } else { Status::Automatic },
            winner,
            loser,
            closed_by: None,
        });
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
