//! The shapes of the protocol: what requests and answers hold, the same in JSON and MessagePack.

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

/// The members of requests, for the OpenAPI document.
#[cfg(feature = "openapi")]
pub mod schema {
    pub use super::conflicts::ResolveWire;
    pub use super::devices::RegisterWire;
    pub use super::push::{OpMembers, PushWire, SyncWire};
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/msgpack`: maps with string keys.
    MessagePack,
}
