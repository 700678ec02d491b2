//! The folded state of one record.

mod contributors;
mod history;
mod stored;
mod writer;

pub use contributors::{FieldState, Merged};
pub use history::History;
pub use stored::StateError;
pub use writer::Writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConflictId, DeviceId, Position};
use crate::time::UnixMs;
use crate::value::Fields;

/// The newest delete of a record. It stays known after the record lives again: what was concurrent with it still loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Who deleted it.
    pub writer: Writer,
    /// When that was stored.
    pub received_at: UnixMs,
}

/// A conflict that a person has to settle: the event that stands and the one that lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConflict {
    /// The place and device of the event whose value stands.
    pub winner: (Position, DeviceId),
    /// The place and device of the event whose value lost.
    pub loser: (Position, DeviceId),
}

/// What a record remembers of a conflict that is closed, for whoever names it in a resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClosedConflict {
    /// A rule decided it; its event beside the one that met it, if there was one.
    Automatic(Option<Position>),
    /// It was resolved or overtaken.
    Settled,
}

/// A record: its fields and writers, the last delete, whether it lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The fields by name; while it is deleted those that the tombstone keeps, which no reader sees.
    pub fields: BTreeMap<String, FieldState>,
    /// What the fields weigh together, kept beside them so that no put has to weigh them all.
    pub weight: usize,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// The newest delete.
    pub last_delete: Option<Delete>,
    /// Of a tombstone the delete before that, which is the last one again if a put shows that the newest never won. No
    /// earlier one is ever needed: once a put has done so the record lives, and what ends that is another delete.
    pub delete_before: Option<Delete>,
    /// Conflicts nobody has settled.
    pub open_conflicts: BTreeMap<ConflictId, OpenConflict>,
    /// The newest other conflicts by position and field, at most
    /// [`CLOSED_CONFLICTS_MAX`](crate::limits::CLOSED_CONFLICTS_MAX).
    pub closed_conflicts: BTreeMap<(Position, String), ClosedConflict>,
    /// Where its events are.
    pub history: History,
    /// The position of the last event that changed what a reader sees.
    pub version: Position,
    /// The position of the last event that named it.
    pub touched: Position,
    /// When the event at `version` was stored.
    pub updated_at: UnixMs,
}

impl Record {
    /// A record before the first event that names it.
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

    /// The plain fields, as a reader sees them: none of a tombstone.
    pub fn plain(&self) -> Fields {
        if self.deleted { Fields::default() } else { self.kept() }
    }

    /// The plain fields, those of a tombstone too.
    pub(crate) fn kept(&self) -> Fields {
        self.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect()
    }

    /// The newest event that has a part in its fields.
    pub(super) fn newest_contributor(&self) -> Option<Arc<Writer>> {
        self.fields.values().map(|field| &field.writer).max_by_key(|writer| writer.position).cloned()
    }
}
