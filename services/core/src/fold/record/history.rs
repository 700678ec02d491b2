//! The positions of a record's events in the log. With them the history of a record, and its state at an earlier
//! position, take one short read without an index over the whole log (docs/adr/0018).

use crate::ids::Position;
use crate::limits::HISTORY_BLOCK_EVENTS;

/// The positions of the events that named a record.
///
/// The newest positions are kept in the record. When there are [`HISTORY_BLOCK_EVENTS`] of them, they leave it as a
/// block, so that a record that is written for years stays small.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The number of blocks that have left the record.
    pub blocks: u32,
    /// The positions since the last block.
    pub recent: Vec<Position>,
    /// Blocks that have left the record but are not stored yet: the number of each, counted from 0, and its positions.
    pub leaving: Vec<(u32, Vec<Position>)>,
}

impl History {
    /// Adds the position of an event that named the record.
    pub(crate) fn note(&mut self, position: Position) {
        self.recent.push(position);
        if self.recent.len() >= HISTORY_BLOCK_EVENTS {
            self.leaving.push((self.blocks, std::mem::take(&mut self.recent)));
            self.blocks += 1;
        }
    }
}
