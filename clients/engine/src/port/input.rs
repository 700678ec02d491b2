//! What the host tells the engine.

use crate::port::call::{Call, CallId};
use crate::port::command::{RequestId, StepId, TimerId};
use crate::store::Rows;
use crate::wire::HttpResult;

/// Something that the host tells the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The store can be read. The first input of an engine.
    Open,
    /// The app calls.
    Call(CallId, Call),
    /// A request has ended.
    Http(RequestId, HttpResult),
    /// A load has ended.
    Loaded(StepId, Rows),
    /// A batch is committed.
    Committed(StepId),
    /// A guard of a batch has failed, and nothing of it is written.
    Lost(StepId),
    /// A load or a commit has failed. The host has tried to open the database again.
    StoreFailed(StepId, StoreFault),
    /// A timer has ended.
    Timer(TimerId),
    /// There may be work.
    Wake(Wake),
    /// The host answers a request for a credential; `None`: there is none now.
    Credential(Option<Credential>),
    /// Whether this tab does the work for all tabs of the app.
    Lead(bool),
}

/// Why there may be work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The network is back.
    Online,
    /// The app is visible.
    Visible,
    /// Another tab has made an op.
    Hint,
    /// The user asks for it, or the host's background task.
    Sync,
    /// The app is paused: nothing is sent until the next `Resume`.
    Pause,
    /// The app goes on.
    Resume,
    /// The host has mended the store.
    StoreMended,
}

/// A credential from the host.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// An enrollment key, or the JWT of a user: registers a device.
    Register(String),
    /// A new token of the same device.
    Token(String),
}

impl std::fmt::Debug for Credential {
    /// Writes the kind alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Register(_) => "Register",
            Self::Token(_) => "Token",
        })
    }
}

/// How the local database has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// There is no space left.
    Full,
    /// Anything else.
    Broken,
}
