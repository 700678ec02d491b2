//! What the engine tells the app by itself.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{ConflictId, DeviceId, Position, TableName};
use tidelog_core::verdict::Verdict;

/// Something that has happened. Each is told after it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Records have changed, by own ops or by pulled events.
    Changed {
        /// The addresses of the records.
        keys: Vec<RecordKey>,
        /// How far the local records are.
        position: Position,
    },
    /// All records of these tables were read again, or dropped; `None`: of every table.
    Reset(Option<Vec<TableName>>),
    /// How far a snapshot is.
    Progress(Progress),
    /// What became of an own op. With [`Signal::Conflict`] this is where an app hooks in.
    Outcome(Outcome),
    /// A conflict was opened or closed.
    Conflict(ConflictId),
    /// The server has stored an own op.
    Stored {
        /// The local id of the op.
        id: i64,
        /// Where it is in the log.
        position: Position,
    },
    /// Something has failed five times in a row. It is told once, and the engine goes on trying.
    Alert(Alert),
    /// Nothing goes on until the host does something.
    Blocked(Why),
    /// It goes on again.
    Unblocked,
    /// The records of a table differed from the server's, and were read again.
    Repaired(TableName),
    /// The device has become a new one.
    Renumbered {
        /// The device before.
        old: DeviceId,
        /// The device now.
        new: DeviceId,
        /// The number of unsent ops that have moved.
        ops: u64,
    },
    /// An op that no server can read was set aside.
    Quarantined {
        /// The local id of the op.
        id: i64,
        /// The code of the server's refusal.
        code: String,
    },
    /// The outbox has grown: other tabs of the app should wake.
    Hint,
}

/// How far a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The number of records that are stored.
    pub records: u64,
    /// The tables; `None` if it is of all.
    pub tables: Option<Vec<TableName>>,
    /// Whether it is complete.
    pub is_complete: bool,
}

/// What became of an own op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The local id of the op.
    pub id: i64,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the op was rejected, as a stable code.
    pub code: Option<String>,
    /// The conflicts that the op won or lost.
    pub conflicts: Vec<ConflictId>,
}

/// A part of the engine that talks to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Registration and tokens.
    Gate,
    /// Pushes.
    Up,
    /// Snapshots and pulls.
    Down,
}

/// Something that has failed five times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What fails.
    pub lane: Lane,
    /// The code of the last refusal; `no_answer` if there was none.
    pub code: String,
}

/// Why nothing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The server refuses the credential, and the host has no other.
    Credential,
    /// The device was revoked.
    Revoked,
    /// There is no space left on the device.
    StoreFull,
    /// The local database does not work.
    StoreLost,
    /// The local database was written by a newer version of the app.
    StoreNewer,
    /// The catalog has a rule that the app has no resolver for.
    CustomRule,
    /// The user has signed out.
    Stopped,
}

/// What a credential is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialNeed {
    /// To register the device.
    Register,
    /// To register a device in the place of this one.
    Replace,
    /// The token is refused: a new token, or a key to register with.
    Token,
}
