//! Events: operations that are stored in the log.

use crate::ids::{Actor, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::cursor::{Cursor, CursorCheck};
use crate::log::digest::Digest;
use crate::log::judge::RejectCode;
use crate::log::op::Intent;
use crate::time::UnixMs;

/// An operation at its position in the log of a workspace.
///
/// LOG-3: an event never changes, except that an erasure blanks its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The position of the event in the log of its workspace.
    pub position: Position,
    /// The position of the first event of the batch.
    pub batch: Position,
    /// The device that made the event.
    pub device: DeviceId,
    /// The sequence number that the device gave the op.
    pub seq: Seq,
    /// The table of the record.
    pub table: TableName,
    /// The id of the record within table and scope.
    pub record: RecordId,
    /// The scope of the record.
    pub scope: Scope,
    /// What the event does to the record.
    pub intent: Intent,
    /// The position up to which the device had read the log when it made the op.
    pub base: Position,
    /// When the op was made, by the clock of the device; the time of the server if the op does not say.
    pub at: UnixMs,
    /// When the server stored the event. Never decreases within a workspace.
    pub received_at: UnixMs,
    /// The role of the device when the event was stored.
    pub role: Role,
    /// The actor who held the device.
    pub actor: Actor,
    /// Why the event has no effect, if it was rejected. Nobody pulls rejected events.
    pub rejected: Option<RejectCode>,
    /// The digest of the content of the op.
    pub digest: Digest,
}

impl Event {
    /// The cursor that names the event.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, check: CursorCheck::of(self.digest, self.received_at) }
    }
}
