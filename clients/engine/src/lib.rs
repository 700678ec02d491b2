//! The client half of Tidelog, as a state machine without I/O.
//!
//! An [`Engine`] keeps the ops, records and verdicts of one device in a local database that the host lends it, and syncs
//! them. It reads no clock, draws no random number, opens no file and no connection: the host tells it what has happened
//! by an [`Input`], and does what it asks by a [`Command`]. So it runs in a browser, on a phone and in a simulation, and
//! every fault of the field can be played through.
//!
//! Nothing durable is in memory alone. A host may stop at any command, for ever or until the next start, and nothing is
//! lost and nothing happens twice.
//!
//! Start with [`Input`] and [`Command`]. `steps/` has what the engine does, a file for each step; `machine/` decides
//! which step comes next; `store/` is the form of the local database.

mod folding;
mod machine;
mod overlay;
mod port;
mod steps;
mod store;
mod wire;

pub use machine::Engine;
pub use overlay::{Predicted, RecordSeen};
pub use port::{
    Alert, Call, CallId, Command, Config, ConflictRow, Credential, CredentialNeed, Durable, Edit, Gate, Input, Lane,
    NewOp, Now, Outcome, OutcomeView, PendingOp, Progress, Receipt, Refusal, Reply, RequestId, Seal, SealError, Settle,
    SignOut, Signal, StepId, StoreFault, SyncStatus, TimerId, Unsent, Wake, Why,
};
pub use store::{
    Batch, Durability, Guard, Key, OutcomeRow, Part, QuarantineRow, Range, Read, Row, Rows, StoreName, Write,
};
pub use wire::{HttpRequest, HttpResult, Method};
