//! Ops as an app makes and sees them.

use serde::{Deserialize, Serialize};
use tidelog_core::ids::{Actor, ConflictId, RecordId, Scope, Seq, TableName};
use tidelog_core::op::Op;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::ConflictView;

use crate::overlay::Predicted;
use crate::store::OutcomeRow;

/// An op that the app wants to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOp {
    /// The table of the record.
    pub table: TableName,
    /// The id of the record.
    pub record: RecordId,
    /// The scope of the record.
    pub scope: Scope,
    /// What is to be done.
    pub edit: Edit,
    /// Who uses the device.
    pub actor: Actor,
}

/// What an op does to its record.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Sets fields.
    Put(Fields),
    /// Deletes the record.
    Delete,
    /// Settles a conflict of the record.
    Resolve {
        /// The conflict.
        conflict: ConflictId,
        /// How.
        settle: Settle,
    },
}

/// How a conflict is settled.
#[derive(Debug, Clone, PartialEq)]
pub enum Settle {
    /// The value in force stays.
    Winner,
    /// The value that lost comes back.
    Loser,
    /// This value.
    Value(Value),
}

/// An op that is durable on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The local id of the op, which never changes.
    pub id: i64,
    /// The seq of the op, which changes if the device becomes a new one.
    pub seq: Seq,
    /// What will become of it, as far as the device can know.
    pub predicted: Predicted,
}

/// An op of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingOp {
    /// The local id.
    pub id: i64,
    /// The op.
    pub op: Op,
    /// Where the server has stored it, if it has.
    pub position: Option<i64>,
}

/// An outcome with the local id of its op.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeView {
    /// The local id of the op.
    pub id: i64,
    /// What became of the op.
    pub outcome: OutcomeRow,
}

/// A conflict on the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConflictRow {
    /// The conflict as the server shows it.
    pub conflict: ConflictView,
    /// Whether the user has seen it.
    #[serde(default)]
    pub dismissed: bool,
}
