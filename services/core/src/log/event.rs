//! Events: operations once stored.

use crate::ids::{Actor, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::cursor::{Cursor, CursorCheck};
use crate::log::digest::Digest;
use crate::log::judge::RejectCode;
use crate::log::op::Intent;
use crate::time::UnixMs;

/// An operation at its place in the log of a workspace. LOG-3: none of this ever changes, save that an erasure blanks
/// the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the workspace's log.
    pub position: Position,
    /// The position of the first event of its batch.
    pub batch: Position,
    /// The device that made it.
    pub device: DeviceId,
    /// That device's number of it.
    pub seq: Seq,
    /// The table of the record.
    pub table: TableName,
    /// The record within table and scope.
    pub record: RecordId,
    /// The scope of the record.
    pub scope: Scope,
    /// What it does.
    pub intent: Intent,
    /// The position up to which its device had taken in everything.
    pub base: Position,
    /// When the device says it was made; the server's time where it said nothing.
    pub at: UnixMs,
    /// When the server stored it. Never steps back within a workspace.
    pub received_at: UnixMs,
    /// The device's role at that time.
    pub role: Role,
    /// Who held the device.
    pub actor: Actor,
    /// Why it has no effect, if it was rejected. Rejected events are pulled by nobody.
    pub rejected: Option<RejectCode>,
    /// The digest of its content.
    pub digest: Digest,
}

impl Event {
    /// The cursor that names it.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, check: CursorCheck::of(self.digest, self.received_at) }
    }
}
