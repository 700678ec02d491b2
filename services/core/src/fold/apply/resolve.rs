//! What a resolve does: it closes the row it names, and is a put or a delete that knew of both events of it.

use crate::fold::apply::{EventContext, Opponent, side_of};
use crate::fold::conflicts::{ConflictStatus, Content, DecidedBy, Side};
use crate::fold::folder::FoldError;
use crate::fold::record::{ClosedConflict, OpenConflict, Record};
use crate::ids::{ConflictId, Position};
use crate::log::verdict::Verdict;
use crate::value::Fields;

/// What a record knows of the row that a resolve names.
enum Named {
    /// Nothing: it was never there, or is forgotten.
    Unknown,
    /// Nobody has settled it.
    Open(OpenConflict),
    /// A rule decided it, against this event.
    Automatic(Option<Position>),
    /// It is settled.
    Settled,
}

impl EventContext<'_> {
    pub(crate) fn resolve(
        &mut self,
        record: &mut Record,
        conflict: &ConflictId,
        put: Option<&Fields>,
    ) -> Result<(), FoldError> {
        let named = named(record, conflict);
        match &named {
            Named::Settled => {
                self.lose_to_settled(record, put);
                return Ok(());
            }
            Named::Unknown => {}
            Named::Open(open) => self.settled = [Some(open.winner.0), Some(open.loser.0)],
            Named::Automatic(other) => self.settled = [*other, conflict.parts().map(|(position, _)| position)],
        }
        record.open_conflicts.remove(conflict);
        let is_too_large = match put {
            Some(fields) => self.put(record, fields)?,
            None => {
                self.delete(record)?;
                false
            }
        };
        match named {
            // Its choice is not in force, so the row stays as it was.
            Named::Open(open) if is_too_large => {
                record.open_conflicts.insert(conflict.clone(), open);
            }
            Named::Open(_) | Named::Automatic(_) if !is_too_large => {
                self.close(record, conflict.clone(), ConflictStatus::Resolved);
            }
            _ => {}
        }
        Ok(())
    }

    /// Somebody was faster: whatever this op would have changed is in the conflicts.
    fn lose_to_settled(&mut self, record: &mut Record, put: Option<&Fields>) {
        let deleted = record.last_delete.as_ref().filter(|_| record.deleted);
        let deleted = deleted.map(|delete| side_of(&delete.writer, Content::Deleted));
        let newest = record.newest_contributor().map(|writer| side_of(&writer, Content::Nothing));
        let against = |winner: Option<Side>| Opponent { winner, rule: DecidedBy::Resolved, asks_a_person: false };
        let Some(given) = put else {
            return self.lose_delete(record, against(deleted.or(newest)));
        };
        let table = self.table;
        self.lose(record, given, |record, field| match record.fields.get(field).filter(|_| !record.deleted) {
            // Of a contribution an equal total says nothing.
            Some(stored) if given.0.get(field) == Some(&stored.value) && table.merge_of(field).is_none() => None,
            Some(stored) => Some(against(Some(side_of(&stored.writer, Content::Value(stored.value.clone()))))),
            None => Some(against(deleted.clone().or_else(|| newest.clone()))),
        });
        self.folded.verdict = Verdict::Superseded;
    }
}

fn named(record: &Record, conflict: &ConflictId) -> Named {
    if let Some(open) = record.open_conflicts.get(conflict) {
        return Named::Open(open.clone());
    }
    let known =
        conflict.parts().and_then(|(position, field)| record.closed_conflicts.get(&(position, field.to_owned())));
    match known {
        None => Named::Unknown,
        Some(ClosedConflict::Automatic(other)) => Named::Automatic(*other),
        Some(ClosedConflict::Settled) => Named::Settled,
    }
}
