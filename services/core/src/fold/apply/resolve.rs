//! Applies a resolve: a put or delete that counts as knowing of both events of the conflict that it names, and that
//! closes this conflict.

use crate::fold::apply::put_size::PutSize;
use crate::fold::apply::{EventContext, Opponent, side_of, side_of_field};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy, Side};
use crate::fold::error::FoldError;
use crate::fold::record::{ClosedConflict, OpenConflict, Record};
use crate::ids::{ConflictId, Position};
use crate::log::verdict::Verdict;
use crate::value::Fields;

/// What a record knows of the conflict that a resolve names.
enum NamedConflict {
    /// The record never had it, or has forgotten it.
    Unknown,
    /// It is open.
    Open(OpenConflict),
    /// A rule decided it. Contains its other event, beside the one that its id names.
    Automatic(Option<Position>),
    /// It is resolved or overtaken.
    Settled,
}

impl EventContext<'_> {
    pub(super) fn resolve(
        &mut self,
        record: &mut Record,
        conflict: &ConflictId,
        put: Option<&Fields>,
    ) -> Result<(), FoldError> {
        let named = find_conflict(record, conflict);
        match &named {
            NamedConflict::Settled => {
                self.lose_to_settled(record, put);
                return Ok(());
            }
            NamedConflict::Unknown => {}
            NamedConflict::Open(open) => {
                self.resolved_events = [Some(open.winner.position), Some(open.loser.position)];
            }
            NamedConflict::Automatic(other) => {
                self.resolved_events = [*other, conflict.parts().map(|(position, _)| position)];
            }
        }
        record.open_conflicts.remove(conflict);
        let size = match put {
            Some(fields) => self.put(record, fields)?,
            None => {
                self.delete(record)?;
                PutSize::Fits
            }
        };
        match (named, size) {
            // The choice is not in force, so the conflict stays as it was.
            (NamedConflict::Open(open), PutSize::TooLarge) => {
                record.open_conflicts.insert(conflict.clone(), open);
            }
            (NamedConflict::Open(_) | NamedConflict::Automatic(_), PutSize::Fits) => {
                self.close(record, conflict.clone(), ConflictStatus::Resolved);
            }
            (NamedConflict::Automatic(_), PutSize::TooLarge) | (NamedConflict::Unknown | NamedConflict::Settled, _) => {
            }
        }
        Ok(())
    }

    /// Writes down a resolve that came after another one had settled the conflict: everything that it would have
    /// changed gets a conflict of its own, whose winner is what stands there.
    fn lose_to_settled(&mut self, record: &mut Record, put: Option<&Fields>) {
        self.outcome.verdict = Verdict::Superseded;
        let deleted = record.standing_delete().map(|delete| side_of(&delete.writer, Content::Deleted));
        let opponent = |winner: Option<Side>| Opponent {
            winner,
            beaten_by: None,
            rule: DecidedBy::Resolved,
            asks_a_person: false,
        };
        let Some(given) = put else {
            // A delete changes nothing of a record that is deleted already.
            if deleted.is_none() {
                self.lose_delete(record, opponent(None));
            }
            return;
        };
        let table = self.table;
        self.lose(record, given, |record, field| match record.fields.get(field).filter(|_| !record.deleted) {
            // An equal value loses nothing. A contribution does: an equal total does not mean that it is part of it.
            Some(stored) if given.0.get(field) == Some(&stored.value) && table.merge_of(field).is_none() => None,
            Some(stored) => Some(opponent(Some(side_of_field(stored)))),
            None => Some(opponent(deleted.clone())),
        });
        self.outcome.verdict = Verdict::Superseded;
    }
}

fn find_conflict(record: &Record, conflict: &ConflictId) -> NamedConflict {
    if let Some(open) = record.open_conflicts.get(conflict) {
        return NamedConflict::Open(open.clone());
    }
    let known =
        conflict.parts().and_then(|(position, field)| record.closed_conflicts.get(&(position, field.to_owned())));
    match known {
        None => NamedConflict::Unknown,
        Some(ClosedConflict::Automatic(other)) => NamedConflict::Automatic(*other),
        Some(ClosedConflict::Settled) => NamedConflict::Settled,
    }
}
