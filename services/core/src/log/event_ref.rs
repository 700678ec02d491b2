//! An event that borrows from its stored row.

use crate::ids::{DeviceId, Position, Seq};
use crate::log::op::Kind;
use crate::time::UnixMs;

/// An event as the log stores it, borrowed from its row. It is written to the wire as the same bytes as an `EventView`,
/// without building values.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'a> {
    /// The position of the event in the log of its workspace.
    pub position: Position,
    /// The position of the first event of the batch.
    pub batch: Position,
    /// The device that made the event.
    pub device: DeviceId,
    /// The sequence number that the device gave the op.
    pub seq: Seq,
    /// The table of the record.
    pub table: &'a str,
    /// The id of the record within table and scope.
    pub record: &'a str,
    /// The scope of the record.
    pub scope: &'a str,
    /// What the event does to the record.
    pub kind: Kind,
    /// The fields of a put or resolve as the log stores them, a MessagePack map; empty if there are none.
    pub fields: &'a [u8],
    /// The id of the conflict that a resolve names; empty for other kinds.
    pub conflict: &'a str,
    /// The position up to which the device had read the log when it made the op.
    pub base: Position,
    /// When the op was made, by the clock of the device.
    pub at: UnixMs,
    /// When the server stored the event.
    pub received_at: UnixMs,
    /// The role of the device when the event was stored.
    pub role: &'a str,
    /// The actor who held the device; empty if the op names none.
    pub actor: &'a str,
}
