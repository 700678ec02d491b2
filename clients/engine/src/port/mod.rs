//! What goes in and out of the engine: inputs, commands, and the calls and signals of the app.

mod call;
mod command;
mod config;
mod input;
mod ops;
mod seal;
mod signal;
mod status;

pub use call::{Call, CallId, Refusal, Reply, SignOut, Unsent};
pub use command::{Command, RequestId, StepId, TimerId};
pub use config::{Config, Now};
pub use input::{Credential, Input, StoreFault, Wake};
pub use ops::{ConflictRow, Edit, NewOp, OutcomeView, PendingOp, Receipt, Settle};
pub use seal::{Seal, SealError};
pub use signal::{Alert, CredentialNeed, Lane, Outcome, Progress, Signal, Why};
pub use status::{Durable, Gate, SyncStatus};
