//! Conflicts: a row for every value that lost (RULE-1).

use std::fmt;

use crate::catalog::{OnDelete, RuleName};
use crate::fold::record::EventPlace;
use crate::ids::{ConflictId, DeviceId, Position, Seq};
use crate::value::Value;

/// A conflict: two writes that did not know of each other and differ, with the one that won and what decided. Only its
/// status changes afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The id of the conflict: `<position of the later event>.<field>`.
    pub id: ConflictId,
    /// The field in conflict; `""` if a delete lost.
    pub field: String,
    /// What decided the conflict.
    pub rule: DecidedBy,
    /// Whether the conflict is open, and if not, how it was closed.
    pub status: ConflictStatus,
    /// The side in force after the event; `None` if nothing stood in the field.
    pub winner: Option<Side>,
    /// The event that beat the op, if the op lost as a whole under granularity `record`. It may have written another
    /// field than this one.
    pub beaten_by: Option<EventPlace>,
    /// The side that lost.
    pub loser: Side,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The position of the event on this side.
    pub position: Position,
    /// The device that made the op; of a readmitted op, the device that made it first.
    pub device: DeviceId,
    /// The seq under which that device made the op.
    pub seq: Seq,
    /// What the event wanted for the field.
    pub content: Content,
}

impl Side {
    /// Where the event of this side is in its log, and which op it is.
    pub(in crate::fold) fn place(&self) -> EventPlace {
        EventPlace { position: self.position, device: self.device, seq: self.seq }
    }
}

/// What a write wanted for a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content<V = Value> {
    /// To set this value.
    Value(V),
    /// To delete the record.
    Deleted,
    /// Nothing for this field: the write opposed another one as a whole.
    NotGiven,
}

/// What decided a conflict. Displayed as a word of the catalog, `retention`, `limit` or `resolved`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// The rule of the field, or of its table.
    Rule(RuleName),
    /// The table's `on_delete`.
    OnDelete(OnDelete),
    /// The retention of the tombstone was over.
    Retention,
    /// The put would have exceeded a size limit of the record.
    Limit,
    /// A resolve named a conflict that was settled already.
    Resolved,
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::OnDelete(on_delete) => on_delete.fmt(f),
            Self::Retention => f.write_str("retention"),
            Self::Limit => f.write_str("limit"),
            Self::Resolved => f.write_str("resolved"),
        }
    }
}

/// The status of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictStatus {
    /// A person must choose.
    Open,
    /// A resolve named the conflict.
    Resolved,
    /// An op that knew both events wrote the field again or deleted the record.
    Overtaken,
    /// A rule decided the conflict.
    Automatic,
}

impl ConflictStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Resolved, Self::Overtaken, Self::Automatic];

    /// The name of the status on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Overtaken => "overtaken",
            Self::Automatic => "automatic",
        }
    }

    /// Parses the name of a status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A change of the status of an earlier conflict, which an event closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// The id of the closed conflict.
    pub id: ConflictId,
    /// The new status: `Resolved` or `Overtaken`.
    pub status: ConflictStatus,
}
