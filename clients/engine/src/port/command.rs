//! What the engine asks of the host.

use crate::port::call::{CallId, Reply};
use crate::port::signal::{CredentialNeed, Signal};
use crate::store::{Batch, Read};
use crate::wire::HttpRequest;

/// The number of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The number of a step: at most one load and one commit of it are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u64);

/// A timer. Setting one again replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// The next attempt of a registration.
    Gate,
    /// The next attempt of a push.
    Up,
    /// The next attempt of a pull.
    Down,
    /// The next look for work that nothing has told of.
    Poll,
    /// The end of the time that a sign-out waits for the outbox.
    SignOut,
}

/// Something that the engine asks of the host.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Sends a request, and tells its end by [`Input::Http`](crate::Input::Http).
    Send {
        /// The number of the request.
        id: RequestId,
        /// The request.
        request: HttpRequest,
        /// The time after which there is no answer, in milliseconds.
        timeout_ms: u64,
    },
    /// Gives a request up. Its end need not be told.
    Abort(RequestId),
    /// Reads rows.
    Load {
        /// The number of the step.
        id: StepId,
        /// What is read, all of one state of the database.
        reads: Vec<Read>,
    },
    /// Writes a batch, if its guards hold.
    Commit {
        /// The number of the step.
        id: StepId,
        /// The batch.
        batch: Batch,
    },
    /// Sets a timer.
    SetTimer {
        /// The timer.
        id: TimerId,
        /// The time until it ends, in milliseconds.
        after_ms: u64,
    },
    /// Asks for a credential. The engine asks once and then waits.
    AskCredential(CredentialNeed),
    /// Replies to a call.
    Reply(CallId, Reply),
    /// Tells the app something.
    Emit(Signal),
}
