//! The deletes that a record remembers: puts that did not know of them are judged by each.

use serde::{Deserialize, Serialize};

use crate::fold::record::writer::Writer;
use crate::ids::Position;
use crate::limits::DELETES_MAX;
use crate::time::UnixMs;

/// A delete of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The event that deleted the record.
    pub writer: Writer,
    /// When the server stored the delete. The retention of the tombstone counts from the newest one.
    pub received_at: UnixMs,
}

/// The deletes of one period in which a record was deleted: the one that ended its life, and those that came while it
/// was a tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deletes {
    /// The deletes in position order, at most [`DELETES_MAX`]. A delete also stands for the earlier ones by the same
    /// device in the same role whose effective time is not later.
    pub kept: Vec<Delete>,
    /// The position of the newest delete that had no room.
    pub lost: Option<Position>,
}

impl Deletes {
    /// The newest delete, if there was one.
    pub fn newest(&self) -> Option<&Delete> {
        self.kept.last()
    }

    /// Whether there was no delete.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.lost.is_none()
    }

    /// Adds the next delete.
    pub(crate) fn add(&mut self, delete: Delete) {
        let Writer { device, role, at, .. } = &delete.writer;
        self.kept.retain(|Delete { writer: earlier, .. }| {
            !(earlier.device == *device && earlier.role == *role && earlier.at <= *at)
        });
        if self.kept.len() >= DELETES_MAX {
            self.lost = Some(self.kept.remove(0).writer.position);
        }
        self.kept.push(delete);
    }
}
