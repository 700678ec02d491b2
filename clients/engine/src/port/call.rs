//! Calls of the app, and the replies to them.

use std::collections::BTreeSet;

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Actor, ConflictId, Scope, TableName};

use crate::overlay::RecordSeen;
use crate::port::ops::{ConflictRow, NewOp, OutcomeView, PendingOp, Receipt};
use crate::port::status::Durable;
use crate::store::QuarantineRow;

/// The number of a call, which its reply repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A call of the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Makes ops, all or none. The reply comes when they are durable.
    Make(Vec<NewOp>),
    /// Reads a record with the unsent ops laid on it.
    View(RecordKey),
    /// Reads the records of a table with the unsent ops laid on them, in the order of scope and record id.
    Records {
        /// The table.
        table: TableName,
        /// Only records of this scope.
        scope: Option<Scope>,
    },
    /// Reads the outbox.
    Outbox,
    /// Reads what became of the ops that did not simply apply.
    Outcomes,
    /// Reads the conflicts.
    Conflicts,
    /// Reads the ops that no server can read.
    Quarantine,
    /// Marks an outcome as seen.
    DismissOutcome(i64),
    /// Marks a conflict as seen.
    DismissConflict(ConflictId),
    /// Makes the op of an outcome once more, as a new op with the knowledge of now.
    SendAgain {
        /// The local id of the op.
        id: i64,
        /// Who uses the device.
        actor: Actor,
    },
    /// Chooses the tables and scopes that the device keeps; `None`: all that it may read.
    Select {
        /// The tables.
        tables: Option<BTreeSet<TableName>>,
        /// The scopes.
        scopes: Option<BTreeSet<Scope>>,
    },
    /// Reads the state of the local database.
    Status,
    /// Gets a new token for the device.
    RotateToken,
    /// Ends the session of the user.
    SignOut(SignOut),
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOut {
    /// At once.
    Now(Unsent),
    /// After the outbox is empty, or the time is over.
    PushFirst {
        /// The time, in milliseconds.
        timeout_ms: u64,
        /// What happens to ops that are still unsent then.
        then: Unsent,
    },
}

/// What happens to unsent ops at the end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// They stay, and are sent when the device is used again.
    Keep,
    /// They are deleted with everything else.
    Discard,
}

/// The reply to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The ops are durable.
    Made(Vec<Receipt>),
    /// The record, if there is one.
    Record(Option<Box<RecordSeen>>),
    /// The records.
    Records(Vec<RecordSeen>),
    /// The outbox, in the order in which the ops were made.
    Outbox(Vec<PendingOp>),
    /// The outcomes.
    Outcomes(Vec<OutcomeView>),
    /// The conflicts.
    Conflicts(Vec<ConflictRow>),
    /// The ops set aside, each with its local id.
    Quarantine(Vec<(i64, QuarantineRow)>),
    /// The state of the local database.
    Status(Durable),
    /// It is done.
    Done,
    /// It is not done.
    Refused(Refusal),
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The op breaks the protocol. The text says how.
    #[error("{0}")]
    Invalid(String),
    /// The conflict or outcome is not on the device.
    #[error("there is no such conflict or outcome on this device")]
    NotFound,
    /// A field cannot be encrypted.
    #[error("a field cannot be sealed with the keys of this device")]
    Unsealable,
    /// There is no space left on the device, or the local database does not work.
    #[error("the local database cannot store it")]
    Store,
    /// The server cannot be reached, or refuses.
    #[error("the server does not answer")]
    NoAnswer,
    /// The user has signed out.
    #[error("the user has signed out")]
    SignedOut,
}
