//! An event borrowed from its stored row.

use crate::ids::{DeviceId, Position, Seq};
use crate::log::op::Kind;
use crate::time::UnixMs;

/// An event as the log keeps it, borrowed from wherever its row stands. What [`EventView`](crate::wire::EventView) is to a
/// client: it writes the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'a> {
    /// Its place in the workspace's log.
    pub position: Position,
    /// The position of the first event of its batch.
    pub batch: Position,
    /// The device that made it.
    pub device: DeviceId,
    /// That device's number of it.
    pub seq: Seq,
    /// The table of the record.
    pub table: &'a str,
    /// The record within table and scope.
    pub record: &'a str,
    /// The scope of the record.
    pub scope: &'a str,
    /// What it does.
    pub kind: Kind,
    /// The fields of a put or resolve as the log keeps them, a MessagePack map; empty without.
    pub fields: &'a [u8],
    /// The conflict that a resolve names; empty without.
    pub conflict: &'a str,
    /// The position up to which its device had taken in everything.
    pub base: Position,
    /// When its device says it was made.
    pub at: UnixMs,
    /// When the server stored it.
    pub received_at: UnixMs,
    /// The device's role at that time.
    pub role: &'a str,
    /// Who held the device.
    pub actor: &'a str,
}
