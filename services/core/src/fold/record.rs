//! The folded state of one record, and its stored form.

use std::collections::BTreeMap;

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
    /// Who set it.
    pub writer: Writer,
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

/// Why a stored state cannot be read: it was written by another version, or damaged. A rebuild makes it anew.
#[derive(Debug, thiserror::Error)]
#[error("the stored state of a record cannot be read: {0}")]
pub struct StateError(String);

/// What folding on needs beyond the plain fields, as it is stored: version 1 of the form.
#[derive(Serialize, Deserialize)]
struct StoredState {
    form: u8,
    writers: BTreeMap<String, Writer>,
    last_delete: Option<Delete>,
    open_conflicts: BTreeMap<ConflictId, OpenConflict>,
}

const STATE_FORM: u8 = 1;

impl Record {
    /// The plain fields, as a reader sees them.
    pub fn plain(&self) -> Fields {
        self.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect()
    }

    /// The stored form beside the plain fields. Equal states have equal bytes (FOLD-2).
    pub fn state_bytes(&self) -> Result<Vec<u8>, StateError> {
        let writers = self.fields.iter().map(|(name, field)| (name.clone(), field.writer.clone())).collect();
        let state = StoredState {
            form: STATE_FORM,
            writers,
            last_delete: self.last_delete.clone(),
            open_conflicts: self.open_conflicts.clone(),
        };
        rmp_serde::to_vec(&state).map_err(|e| StateError(e.to_string()))
    }

    /// Puts a record together from its stored parts.
    pub fn of_stored(
        plain: Fields,
        state: &[u8],
        deleted: bool,
        (version, touched): (Position, Position),
        updated_at: UnixMs,
    ) -> Result<Self, StateError> {
        let weight = plain.weight();
        let mut state: StoredState = rmp_serde::from_slice(state).map_err(|e| StateError(e.to_string()))?;
        if state.form != STATE_FORM {
            return Err(StateError(format!("form {} is not known", state.form)));
        }
        let mut fields = BTreeMap::new();
        for (name, value) in plain.0 {
            let writer = state.writers.remove(&name).ok_or_else(|| StateError("a field has no writer".to_owned()))?;
            fields.insert(name, FieldState { value, writer });
        }
        Ok(Self {
            fields,
            weight,
            deleted,
            last_delete: state.last_delete,
            open_conflicts: state.open_conflicts,
            version,
            touched,
            updated_at,
        })
    }

    /// The record as it is read; with what folding on needs if `full`.
    pub fn to_view(&self, table: TableName, scope: Scope, record: RecordId, full: bool) -> RecordView {
        let writers =
            || self.fields.iter().map(|(name, field)| (name.clone(), WriterView::from(&field.writer))).collect();
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
