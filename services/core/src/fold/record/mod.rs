//! The folded state of one record.

mod contributors;
mod history;
pub(in crate::fold) mod key;
mod stored;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use contributors::{FieldState, MergeState};
pub use history::History;
pub use key::RecordKey;
use serde::{Deserialize, Serialize};
pub use stored::StateError;
pub use writer::Writer;

use crate::ids::{ConflictId, DeviceId, Position};
use crate::time::UnixMs;
use crate::value::Fields;

/// A delete of a record. The record remembers it after it is live again, because a put that was concurrent with it
/// still loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The event that deleted the record.
    pub writer: Writer,
    /// When the server stored the delete. The retention of the tombstone counts from here.
    pub received_at: UnixMs,
}

/// An open conflict: a person has to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConflict {
    /// The position and device of the event whose value is in force.
    pub winner: (Position, DeviceId),
    /// The position and device of the event whose value lost.
    pub loser: (Position, DeviceId),
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
    /// The newest delete, if there was one.
    pub last_delete: Option<Delete>,
    /// Tombstones only: the delete before `last_delete`. It is the last one again once a put proves that the newest
    /// lost. No earlier delete is ever needed: such a put makes the record live, and only another delete ends that.
    pub delete_before: Option<Delete>,
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
            last_delete: None,
            delete_before: None,
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

    /// The newest of all writers of the fields.
    pub(super) fn newest_contributor(&self) -> Option<Arc<Writer>> {
        self.fields.values().map(|field| &field.writer).max_by_key(|writer| writer.position).cloned()
    }
}
