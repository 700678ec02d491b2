//! The folded state of one record.

mod contributors;
mod deletes;
mod history;
pub(in crate::fold) mod key;
mod stored;
mod writer;

use std::collections::BTreeMap;

pub use contributors::{FieldState, MergeState};
pub use deletes::{Delete, Deletes};
pub use history::History;
pub use key::RecordKey;
use serde::{Deserialize, Serialize};
pub use stored::{STATE_FORM, StateError};
pub use writer::{EventPlace, Writer};

use crate::ids::{ConflictId, Position};
use crate::time::UnixMs;
use crate::value::Fields;

/// An open conflict: a person has to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConflict {
    /// The event that the loser lost to.
    pub winner: EventPlace,
    /// The event whose value lost.
    pub loser: EventPlace,
}

/// A closed conflict, as a record remembers it for a resolve that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClosedConflict {
    /// A rule decided it. Contains the position of its other event, beside the one that its id names, if there is one.
    Automatic(Option<Position>),
    /// It was resolved or overtaken.
    Settled,
}

/// The folded state of a record: its fields with their writers, its deletes and its conflicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The fields by name. A tombstone keeps its fields here until its retention is over, and no reader sees them.
    pub fields: BTreeMap<String, FieldState>,
    /// The weight of all fields together ([`Fields::weight`]), so that a put does not have to weigh them all.
    pub weight: usize,
    /// Whether the record is a tombstone.
    pub deleted: bool,
    /// The deletes since the record last lived. It keeps them after it is brought back, because a put that was
    /// concurrent with one of them may still lose, until a delete ends its life again.
    pub deletes: Deletes,
    /// Tombstones only: the deletes as they were before the record's life ended. They hold again once a put proves that
    /// all of `deletes` lost. No earlier delete is ever needed: such a put makes the record live, and only another delete
    /// ends that.
    pub deletes_before: Deletes,
    /// The open conflicts.
    pub open_conflicts: BTreeMap<ConflictId, OpenConflict>,
    /// The newest closed conflicts by position and field, at most
    /// [`CLOSED_CONFLICTS_MAX`](crate::limits::CLOSED_CONFLICTS_MAX).
    pub closed_conflicts: BTreeMap<(Position, String), ClosedConflict>,
    /// The positions of the events that named the record.
    pub history: History,
    /// The position of the last event that changed what a reader sees.
    pub version: Position,
    /// The position of the last event that named the record.
    pub touched: Position,
    /// When the event at `version` was stored.
    pub updated_at: UnixMs,
}

impl Record {
    /// The state of a record before the first event that names it, with the position and time of that event.
    pub(super) fn unseen(touched: Position, updated_at: UnixMs) -> Self {
        Self {
            fields: BTreeMap::new(),
            weight: 0,
            deleted: false,
            deletes: Deletes::default(),
            deletes_before: Deletes::default(),
            open_conflicts: BTreeMap::new(),
            closed_conflicts: BTreeMap::new(),
            history: History::default(),
            version: Position::START,
            touched,
            updated_at,
        }
    }

    /// The fields as a reader sees them: a tombstone has none.
    pub fn plain(&self) -> Fields {
        if self.deleted { Fields::default() } else { self.kept() }
    }

    /// The fields including those that a tombstone keeps.
    pub(crate) fn kept(&self) -> Fields {
        self.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect()
    }

    /// The newest delete, if the record is deleted.
    pub(super) fn standing_delete(&self) -> Option<&Delete> {
        self.deletes.newest().filter(|_| self.deleted)
    }
}
