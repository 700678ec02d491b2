//! What a step is, and what follows it.

use tidelog_core::ids::DeviceId;

use crate::port::{CallId, Config, Credential, CredentialNeed, Lane, Now, Reply, Why};
use crate::store::{Fault, Selection, Tx};
use crate::wire::HttpRequest;

/// A step.
pub(crate) trait Step {
    /// Reads and writes through the transaction, and says what follows once the batch is committed. It may run several
    /// times, until all that it reads is loaded.
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault>;
}

/// What a step may know besides the store.
pub(crate) struct Cx<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now: Now,
    /// The credential that the host has given.
    pub(crate) credential: Option<&'a Credential>,
    /// A token that the server has refused.
    pub(crate) refused_token: Option<&'a str>,
    /// A random text of 32 characters, the same whenever the step runs again.
    pub(crate) nonce: &'a str,
    /// Whether a commit of this step has ended without a clear answer: it may have been done.
    pub(crate) is_repeated: bool,
}

/// What follows a step.
#[derive(Debug)]
pub(crate) enum After {
    /// The app gets a reply. The outbox may have grown.
    Reply(CallId, Reply),
    /// The gate is in this state.
    Gate(GateIs),
    /// A request is sent.
    Send(Request),
    /// The lane has nothing to do for now.
    Idle(Lane),
    /// The lane goes on at once: it has got further.
    Again(Lane),
    /// A page of events is in, and there may be more.
    Pulled { more: bool, check_again: bool },
    /// The lane goes on at once, but has not got further: it counts its failed attempts on.
    Begun(Lane),
    /// The server was asked what became of own ops. What it has not folded yet is asked for at the next poll.
    OutcomesAsked,
    /// The lane tries again later: the server is not ready.
    Later(Lane),
    /// The server has lost own ops from this seq on.
    Rewind { expected: i64, device: DeviceId },
    /// The device becomes a new one, or its token is refused: the gate decides.
    GateDue,
    /// The session is over.
    SignedOut(CallId),
}

/// What the gate has decided.
#[derive(Debug)]
pub(crate) enum GateIs {
    /// The lanes run.
    Ready,
    /// Only pushes run, under the old name.
    PushOnly,
    /// A new token is stored.
    TokenStored,
    /// A request of the gate is sent.
    Send(Request),
    /// The host has to give a credential.
    Needs(CredentialNeed),
    /// Nothing goes on.
    Blocked(Why),
}

/// A request, with what its answer is for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) lane: Lane,
    pub(crate) http: HttpRequest,
    pub(crate) purpose: Purpose,
    /// How long the server may take on purpose, in milliseconds.
    pub(crate) wait_ms: u64,
}

/// What an answer is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Purpose {
    /// A push.
    Push(PushedOps),
    /// A page of events after a cursor.
    Pull { after: String, selection: Selection },
    /// A page of records after a records cursor.
    Records { generation: i64, after: Option<String> },
    /// A page of events that brings a snapshot up to the device's position.
    Events { generation: i64, after: String },
    /// Whether the server still takes an older cursor.
    Probe { position: i64 },
    /// What became of own ops.
    Outcomes,
    /// The open conflicts.
    Conflicts,
    /// A registration.
    Register,
    /// The last seq of the device before.
    LastSeq,
    /// A new token.
    Rotate(CallId),
}

/// The ops of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushedOps {
    /// The local id and the seq of each op.
    pub(crate) ops: Vec<(i64, i64)>,
    /// The device that pushes. A refusal that comes after it has become a new one is of no account.
    pub(crate) device: DeviceId,
    /// The number of new starts before: what a log has acknowledged that is gone does not count.
    pub(crate) starts: i64,
}
