//! Pushes: operations up, and what became of them down.

#[cfg(feature = "server")]
mod fast_path;
mod op;
mod request;
mod response;

pub use op::OpMembers;
pub use request::{PushMembers, PushRequest, SyncMembers, SyncRequest};
pub use response::{OpStatus, OpsResponse, Outcome, PushResponse, Rejected, Run, SyncResponse};
