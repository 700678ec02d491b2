//! The wire format: the bodies of requests and responses, the same in JSON and MessagePack.
//!
//! [`encode()`] and [`decode()`] write and read every body, and an [`Op`](crate::op::Op) by itself. The server reads
//! pushes by `PushRequest::read` and `SyncRequest::read`, which are faster. A type named `...View` is a resource as
//! clients read it. Every module of the crate may be used here, and no other module uses this one.

mod conflicts;
mod decode;
mod devices;
mod encode;
#[cfg(feature = "server")]
mod event_writer;
mod events;
#[cfg(feature = "server")]
mod page;
mod push;
mod record_state;
mod records;
mod status;

pub use conflicts::{
    AuthoredEvent, Choice, ConflictView, ConflictsResponse, HistoryEvent, HistoryResponse, ResolveResponse, SideView,
};
pub use decode::{DecodeError, decode, has_endless_whitespace};
pub use devices::{DeviceList, DevicePatch, DeviceView, RegisterRequest, RegisterResponse, TokenResponse};
pub use encode::encode;
pub use events::{AccessEvent, EventView, PullEnd, PullResponse, ReadError};
#[cfg(feature = "server")]
pub use page::{JsonForm, PageError, page_end, page_head, sync_frame, write_json};
pub use push::{OpStatus, OpsResponse, Outcome, PushRequest, PushResponse, Rejected, Run, SyncRequest, SyncResponse};
pub use records::{
    AliasView, ClosedConflictView, DeleteView, EventPlaceView, MergedView, OpenConflictView, RecordView, RecordsEnd,
    RecordsResponse, WriterView,
};
pub use status::{CatalogView, Limits, Status};

/// The members of request bodies, as the OpenAPI document describes them. Programs use the requests themselves.
pub mod schema {
    pub use super::conflicts::ResolveMembers;
    pub use super::devices::{PatchMembers, RegisterMembers};
    pub use super::push::{OpMembers, PushMembers, SyncMembers};
}

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/msgpack`, with maps that have string keys.
    MessagePack,
}
