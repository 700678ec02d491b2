//! The results of the oracle: plain data, to be compared with the results of another fold.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::ids::{ConflictId, DeviceId, Position, RecordId, Scope, TableName};
use tidelog_core::value::Value;
use tidelog_core::verdict::Verdict;

/// The address of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The scope.
    pub scope: Scope,
    /// The table.
    pub table: TableName,
    /// The record's id.
    pub record: RecordId,
}

impl RecordKey {
    /// The record that an event names.
    pub fn of(event: &Event) -> Self {
        Self { scope: event.scope.clone(), table: event.table.clone(), record: event.record.clone() }
    }
}

/// What a reader sees of a record: whether it is deleted, and its fields. `None` if there is no record.
pub type Shown = Option<(bool, BTreeMap<String, Value>)>;

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleRecord {
    /// The values that a reader sees; none while the record is deleted.
    pub fields: BTreeMap<String, Value>,
    /// Whether the record is a tombstone.
    pub deleted: bool,
    /// The last event that changed what a reader sees.
    pub version: Position,
    /// The last event that named the record and was not rejected.
    pub touched: Position,
}

/// One of the two sides of a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleSide {
    /// The event and the device that made it. The oracle always has them.
    pub event: Option<(Position, DeviceId)>,
    /// The value of the field, if the side has one.
    pub value: Option<Value>,
    /// Whether the side is a delete.
    pub deleted: bool,
}

impl OracleSide {
    /// Whether the side is this event.
    pub fn is(&self, position: Position) -> bool {
        self.event.is_some_and(|(own, _)| own == position)
    }
}

/// The status of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// A person must choose.
    Open,
    /// An op has resolved it.
    Resolved,
    /// A later op that knew both sides wrote the field, so there is nothing left to choose.
    Overtaken,
    /// The rule decided.
    Automatic,
}

impl Status {
    /// The word of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Overtaken => "overtaken",
            Self::Automatic => "automatic",
        }
    }
}

/// A conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleConflict {
    /// `<position of the op that met it>.<field>`
    pub id: ConflictId,
    /// The record's address.
    pub record: RecordKey,
    /// The field; `""` for a delete that lost.
    pub field: String,
    /// The name of the rule that decided.
    pub rule: String,
    /// The status.
    pub status: Status,
    /// The side whose value stands; `None` if nothing stood in the field.
    pub winner: Option<OracleSide>,
    /// The event that beat the loser as a whole, by granularity `record`.
    pub beaten_by: Option<Position>,
    /// The side that lost.
    pub loser: OracleSide,
    /// The event that resolved or overtook it.
    pub closed_by: Option<Position>,
}

impl OracleConflict {
    /// The event that opposed the loser.
    pub(super) fn opponent(&self) -> Option<Position> {
        let winner = self.winner.as_ref().and_then(|winner| winner.event);
        self.beaten_by.or(winner.map(|(position, _)| position))
    }

    /// Whether an event is one of the two that met.
    pub(super) fn is_between(&self, position: Position) -> bool {
        self.loser.is(position) || self.opponent() == Some(position)
    }
}

/// The result of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleState {
    /// Every record, tombstones too.
    pub records: BTreeMap<RecordKey, OracleRecord>,
    /// Every conflict, by position of the op that met it, then by field.
    pub conflicts: Vec<OracleConflict>,
    /// The verdict of every event, and the conflicts that it made, by field.
    pub verdicts: BTreeMap<Position, (Verdict, Vec<ConflictId>)>,
    /// How often each branch of the rules was taken, by the names in `coverage`.
    pub branches: BTreeMap<String, u64>,
}
