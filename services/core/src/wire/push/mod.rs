//! Pushes: operations up, and what became of them down.

mod fast_path;
mod op;
mod request;
mod response;

#[cfg(feature = "openapi")]
pub use op::OpMembers;
#[cfg(feature = "openapi")]
pub use request::{PushMembers, SyncMembers};
pub use request::{PushRequest, SyncRequest};
pub use response::{OpStatus, Outcome, PushResponse, Rejected, Run, SyncResponse};
