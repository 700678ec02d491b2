//! The rows of ops and records.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{ConflictId, DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;

use crate::store::tx::Fault;

/// An op that waits: for the server to store it, or for its event to be pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxRow {
    pub(crate) seq: i64,
    /// The op as it goes over the wire. The bytes never change, save seq and base when the device is renumbered or the
    /// server was restored.
    #[serde(with = "packed")]
    pub(crate) op: Bytes,
    pub(crate) made_at: i64,
    /// The mark of the step that made the op: a step whose commit had no clear end finds its ops again by it.
    #[serde(default)]
    pub(crate) mark: String,
    /// Where the server has stored the op, if it is known to.
    #[serde(default)]
    pub(crate) stored: Option<StoredAt>,
}

/// Where an op is in the log, and the device that it was made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAt {
    pub(crate) device: DeviceId,
    pub(crate) position: i64,
}

impl StoredAt {
    /// The position of an op that the server has stored, and has not said where.
    pub(crate) const UNKNOWN: i64 = i64::MAX;
}

/// An op that has left the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SentRow {
    pub(crate) seq: i64,
    #[serde(with = "packed")]
    pub(crate) op: Bytes,
    pub(crate) made_at: i64,
    pub(crate) stored: StoredAt,
}

impl OutboxRow {
    /// The row of the op once it has left the outbox.
    pub(crate) fn into_sent(self, stored: StoredAt) -> SentRow {
        SentRow { seq: self.seq, op: self.op, made_at: self.made_at, stored }
    }
}

impl SentRow {
    /// The row of the op when it has to be sent again.
    pub(crate) fn into_outbox(self) -> OutboxRow {
        OutboxRow { seq: self.seq, op: self.op, made_at: self.made_at, mark: String::new(), stored: None }
    }
}

/// A folded record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordRow {
    version: i64,
    touched: i64,
    updated_at: i64,
    deleted: bool,
    #[serde(with = "packed")]
    fields: Bytes,
    #[serde(with = "packed")]
    state: Bytes,
}

impl RecordRow {
    pub(crate) fn of(record: &Record) -> Self {
        let (mut fields, mut state) = (Vec::new(), Vec::new());
        record.write_fields(&mut fields);
        record.write_state(&mut state);
        Self {
            version: record.version.0,
            touched: record.touched.0,
            updated_at: record.updated_at.0,
            deleted: record.deleted,
            fields: fields.into(),
            state: state.into(),
        }
    }

    /// The record. A state of another form cannot be folded any further.
    pub(crate) fn to_record(&self) -> Result<Record, Fault> {
        let fields = Fields::from_msgpack(&self.fields).map_err(|_| Fault::Unfoldable)?;
        let places = (Position(self.version), Position(self.touched));
        Record::from_stored(fields, &self.state, self.deleted, places, UnixMs(self.updated_at))
            .map_err(|_| Fault::Unfoldable)
    }

    /// The plain fields as MessagePack, of which digests are made; `None` for a tombstone.
    pub(crate) fn live_fields(&self) -> Option<&[u8]> {
        (!self.deleted).then_some(&self.fields)
    }
}

/// What became of an op that did not simply apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// The device that the op was made under.
    pub device: DeviceId,
    /// The seq of the op.
    pub seq: Seq,
    /// The table of the record.
    pub table: TableName,
    /// The scope of the record.
    pub scope: Scope,
    /// The id of the record.
    pub record: RecordId,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the op was rejected, as a stable code.
    #[serde(default)]
    pub code: Option<String>,
    /// Why the op was rejected, in a sentence for people.
    #[serde(default)]
    pub detail: Option<String>,
    /// The conflicts that the op won or lost.
    #[serde(default)]
    pub conflicts: Vec<ConflictId>,
    /// Whether the user has seen it.
    #[serde(default)]
    pub dismissed: bool,
}

impl OutcomeRow {
    /// The address of the record.
    pub fn key(&self) -> RecordKey {
        RecordKey { table: self.table.clone(), scope: self.scope.clone(), record: self.record.clone() }
    }
}

/// An op that no server can read. It is kept until a person removes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// The op as it would go over the wire.
    #[serde(with = "packed")]
    pub op: Bytes,
    /// The code of the server's refusal.
    pub code: String,
    /// The server's sentence.
    pub detail: String,
    /// When it was set aside, by the clock of the device.
    pub at: i64,
}

/// Serializes bytes as binary.
mod packed {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Bytes::copy_from_slice)
    }
}
