//! The conflicts: a row for every value that lost (RULE-1).

use std::fmt;

use crate::catalog::{Merge, OnDelete, RuleName};
use crate::ids::{ConflictId, DeviceId, Position};
use crate::value::Value;

/// A conflict as the op that met it made it. Only its status ever changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// `<position of the op that met it>.<field>`
    pub conflict: ConflictId,
    /// The field; empty of a delete that lost.
    pub field: String,
    /// What decided it.
    pub rule: DecidedBy,
    /// Whether a person still must.
    pub status: ConflictStatus,
    /// What stood afterwards; nothing where nothing stood against the loser.
    pub winner: Option<Side>,
    /// What lost.
    pub loser: Side,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The place of its event.
    pub position: Position,
    /// The device that made it.
    pub device: DeviceId,
    /// What it wanted of the field.
    pub content: Content,
}

/// What an event of a conflict wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This value.
    Value(Value),
    /// That the record is deleted.
    Deleted,
    /// Nothing of this field: it stood against the op as a whole.
    Nothing,
}

/// What decided a conflict: a word of the catalog, or of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// A rule, of the field or its table.
    Rule(RuleName),
    /// A merge that met a value it cannot merge, which only another catalog can have let in: the later one won.
    Merge(Merge),
    /// What the table says of deletes.
    OnDelete(OnDelete),
    /// The tombstone's retention was over.
    Retention,
    /// The record would have grown too large.
    Limit,
    /// A resolve came to a conflict that was settled already.
    Resolved,
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Merge(merge) => merge.fmt(f),
            Self::OnDelete(on_delete) => on_delete.fmt(f),
            Self::Retention => f.write_str("retention"),
            Self::Limit => f.write_str("limit"),
            Self::Resolved => f.write_str("resolved"),
        }
    }
}

/// Where a conflict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictStatus {
    /// A person must choose.
    Open,
    /// A resolve named it.
    Resolved,
    /// Somebody who knew both events wrote again.
    Overtaken,
    /// A rule decided it.
    Automatic,
}

impl ConflictStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Resolved, Self::Overtaken, Self::Automatic];

    /// The word of the wire and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Overtaken => "overtaken",
            Self::Automatic => "automatic",
        }
    }

    /// The status of this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A row that an event has closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The row.
    pub conflict: ConflictId,
    /// `Resolved` or `Overtaken`.
    pub status: ConflictStatus,
}
