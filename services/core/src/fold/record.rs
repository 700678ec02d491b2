//! The folded state of one record.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConflictId, DeviceId, Position, RecordId, Role, Scope, TableName};
use crate::time::UnixMs;
use crate::value::{Fields, Value};
use crate::wire::{DeleteView, EventPlace, OpenConflictView, RecordView, WriterView};

/// The event that set a field or deleted a record, as later events are judged against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its place in the log.
    pub position: Position,
    /// Its device.
    #[serde(with = "super::stored::device_bytes")]
    pub device: DeviceId,
    /// Its device's role.
    pub role: Role,
    /// Its effective time: `at`, at most the clock skew after `received_at`. Fixed when it is folded.
    pub at: UnixMs,
}

/// A field with the event that set it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldState {
    /// Its value.
    pub value: Value,
    /// Who set it; one for all fields that an event set.
    pub writer: Arc<Writer>,
}

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

/// A record: its fields and writers, the last delete, whether it lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The fields by name; empty while deleted.
    pub fields: BTreeMap<String, FieldState>,
    /// What the fields weigh together, kept beside them so that no put has to weigh them all.
    pub weight: usize,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// The newest delete.
    pub last_delete: Option<Delete>,
    /// Conflicts nobody has settled.
    pub open_conflicts: BTreeMap<ConflictId, OpenConflict>,
    /// The position of the last event that changed what a reader sees.
    pub version: Position,
    /// The position of the last event that named it.
    pub touched: Position,
    /// When the event at `version` was stored.
    pub updated_at: UnixMs,
}

impl Record {
    /// The plain fields, as a reader sees them.
    pub fn plain(&self) -> Fields {
        self.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect()
    }

    /// The record as it is read; with what folding on needs if `full`.
    pub fn to_view(&self, table: TableName, scope: Scope, record: RecordId, full: bool) -> RecordView {
        let writers =
            || self.fields.iter().map(|(name, field)| (name.clone(), WriterView::from(&*field.writer))).collect();
        let conflicts = || {
            let open = self.open_conflicts.iter();
            let place = |(position, device)| EventPlace { position, device };
            let view = |of: &OpenConflict| OpenConflictView { winner: place(of.winner), loser: place(of.loser) };
            open.map(|(id, conflict)| (id.clone(), view(conflict))).collect()
        };
        let delete = |delete: &Delete| DeleteView { writer: (&delete.writer).into(), received_at: delete.received_at };
        RecordView {
            table,
            record,
            scope,
            version: self.version,
            deleted: self.deleted,
            fields: self.plain(),
            updated_at: self.updated_at,
            touched: full.then_some(self.touched),
            writers: full.then(writers),
            last_delete: self.last_delete.as_ref().filter(|_| full).map(delete),
            conflicts: full.then(conflicts),
        }
    }
}

impl From<&Writer> for WriterView {
    fn from(writer: &Writer) -> Self {
        Self { position: writer.position, device: writer.device, role: writer.role.clone(), at: writer.at }
    }
}
