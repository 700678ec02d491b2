//! Where a record's events are in the log: what makes its history and its past one short read, without an index over the
//! whole log for it (docs/adr/0018).

use crate::ids::Position;
use crate::limits::HISTORY_BLOCK_EVENTS;

/// The positions of the events that named a record.
///
/// The newest stay with it. Each time there are [`HISTORY_BLOCK_EVENTS`] of them they leave as a block, so that a record
/// that is written for years stays small.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// How many blocks have left.
    pub blocks: u32,
    /// The positions after these.
    pub recent: Vec<Position>,
    /// Blocks that have left and are not stored yet: their numbers, from 0, and positions.
    pub leaving: Vec<(u32, Vec<Position>)>,
}

impl History {
    /// One more event named the record.
    pub(crate) fn note(&mut self, position: Position) {
        self.recent.push(position);
        if self.recent.len() >= HISTORY_BLOCK_EVENTS {
            self.leaving.push((self.blocks, std::mem::take(&mut self.recent)));
            self.blocks += 1;
        }
    }
}
