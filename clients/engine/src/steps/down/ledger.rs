//! Conflicts on the device: the open ones, and all in which an own op won or lost.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{Conflict, ConflictStatus, Content, Record, RecordKey, Side, Writer};
use tidelog_core::ids::{Actor, DeviceId, Position, Role};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{AuthoredEvent, ConflictView, SideView};

use crate::port::{ConflictRow, Signal};
use crate::steps::down::fold_page::Folded;
use crate::store::{Fault, Key, Tx, read_row, write_row};

/// Writes down the conflicts that the events of a page have opened and closed.
pub(super) fn note_conflicts(tx: &mut Tx, me: DeviceId, events: &[Event], folded: &Folded) -> Result<(), Fault> {
    let by_position: BTreeMap<_, _> = events.iter().map(|event| (event.position, event)).collect();
    let closed = folded.outcomes.values().flat_map(|outcome| &outcome.closed);
    let keys: Vec<_> = closed.map(|change| Key::conflict(&change.id)).collect();
    tx.need(&keys)?;
    for (position, outcome) in &folded.outcomes {
        let Some(event) = by_position.get(position) else { continue };
        let record = RecordKey::of(event);
        let sides = Sides { by_position: &by_position, before: folded.before.get(&record) };
        for conflict in &outcome.conflicts {
            let is_own = conflict.loser.device == me || conflict.winner.as_ref().is_some_and(|it| it.device == me);
            if is_own || conflict.status == ConflictStatus::Open {
                let view = sides.view_of(&record, conflict);
                tx.put(Key::conflict(&conflict.id), write_row(&ConflictRow { conflict: view, dismissed: false }));
                tx.signals.push(Signal::Conflict(conflict.id.clone()));
            }
        }
        for change in &outcome.closed {
            let key = Key::conflict(&change.id);
            let Some(row) = tx.get(&key)? else { continue };
            let mut row: ConflictRow = read_row(&row, "a conflict")?;
            row.conflict.status = change.status.as_str().to_owned();
            row.conflict.resolved_by = Some(*position);
            row.conflict.changed_at = *position;
            tx.put(key, write_row(&row));
            tx.signals.push(Signal::Conflict(change.id.clone()));
        }
    }
    Ok(())
}

/// Where the makers of both sides of a conflict are found.
struct Sides<'a> {
    by_position: &'a BTreeMap<Position, &'a Event>,
    before: Option<&'a Record>,
}

impl Sides<'_> {
    fn view_of(&self, record: &RecordKey, conflict: &Conflict) -> ConflictView {
        ConflictView {
            conflict: conflict.id.clone(),
            table: record.table.clone(),
            record: record.record.clone(),
            scope: record.scope.clone(),
            field: conflict.field.clone(),
            rule: conflict.rule.to_string(),
            status: conflict.status.as_str().to_owned(),
            winner: conflict.winner.as_ref().map(|side| self.view_of_side(side)),
            beaten_by: conflict.beaten_by.as_ref().map(|place| self.author_of(place.position, place.device)),
            loser: self.view_of_side(&conflict.loser),
            resolved_by: None,
            changed_at: conflict.id.parts().map_or(Position::START, |(position, _)| position),
        }
    }

    fn view_of_side(&self, side: &Side) -> SideView {
        let (value, deleted) = match &side.content {
            Content::Value(value) => (Some(value.clone()), false),
            Content::Deleted => (None, true),
            Content::NotGiven => (None, false),
        };
        SideView { event: self.author_of(side.position, side.device), value, deleted }
    }

    /// The author of an event. One that is neither on the page nor a writer of the record is shown without role and time.
    fn author_of(&self, position: Position, device: DeviceId) -> AuthoredEvent {
        let (role, actor, at) = match (self.by_position.get(&position), self.writer(position)) {
            (Some(event), _) => (event.role.clone(), event.actor.clone(), event.at),
            (None, Some(writer)) => (writer.role.clone(), Actor::nobody(), writer.at),
            (None, None) => (Role::system(), Actor::nobody(), UnixMs(0)),
        };
        AuthoredEvent { position, device, role, actor, at }
    }

    fn writer(&self, position: Position) -> Option<&Writer> {
        let record = self.before?;
        let deletes = record.deletes.kept.iter().map(|delete| &delete.writer);
        let writers = record.fields.values().map(|field| &*field.writer);
        writers.chain(deletes).find(|writer| writer.position == position)
    }
}
