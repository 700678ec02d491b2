//! The wire format: the bodies of requests and responses, the same in JSON and MessagePack.
//!
//! Requests are read by [`PushRequest::read`] and [`SyncRequest::read`], or by [`decode()`], and responses are written
//! by [`encode()`]. A type named `...View` is a resource as clients read it. Every module of the crate may be used
//! here, and no other module uses this one.

mod conflicts;
mod decode;
mod devices;
mod encode;
mod event_writer;
mod events;
mod page;
mod push;
mod record_state;
mod records;
mod status;

pub use conflicts::{
    Choice, ConflictView, ConflictsResponse, HistoryEvent, HistoryResponse, ResolveResponse, SideView,
};
pub use decode::{DecodeError, decode};
pub use devices::{DeviceList, DeviceView, RegisterRequest, RegisterResponse};
pub use encode::encode;
pub use events::{EventView, PullEnd, PullResponse, ReadError};
pub use page::{JsonForm, PageError, page_end, page_head, sync_frame, write_json};
pub use push::{OpStatus, Outcome, PushRequest, PushResponse, Rejected, Run, SyncRequest, SyncResponse};
pub use records::{
    ClosedConflictView, DeleteView, EventPlace, MergedView, OpenConflictView, RecordView, RecordsEnd, RecordsResponse,
    WriterView,
};
pub use status::{CatalogView, Limits, Status};

/// The members of request bodies, as the OpenAPI document describes them. Programs use the requests themselves.
pub mod schema {
    pub use super::conflicts::ResolveMembers;
    pub use super::devices::RegisterMembers;
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
