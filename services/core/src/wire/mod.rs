//! The shapes of the protocol: what requests and answers hold, the same in JSON and MessagePack.

mod decode;
mod devices;
mod encode;
mod event_parts;
mod events;
mod json_scan;
mod ledger;
mod page;
mod push;
mod push_read;
mod records;
mod status;

pub use decode::{DecodeError, decode};
pub use devices::{DeviceList, DeviceView, RegisterAnswer, RegisterRequest};
pub use encode::encode;
pub use event_parts::EventParts;
pub use events::{EventView, PullAnswer, PullEnd, ReadError};
pub use ledger::{Choice, ConflictView, ConflictsAnswer, HistoryAnswer, HistoryEvent, ResolveAnswer, SideView};
pub use page::{JsonForm, PageError, page_end, page_head, sync_frame, write_json};
pub use push::{OpStatus, Outcome, PushAnswer, PushRequest, Rejected, Run, SyncAnswer, SyncRequest, Verdict};
pub use records::{
    ClosedConflictView, DeleteView, EventPlace, MergedView, OpenConflictView, RecordView, RecordsAnswer, RecordsEnd,
    WriterView,
};
pub use status::{CatalogView, Limits, Status};

/// The members of requests, for the OpenAPI document.
#[cfg(feature = "openapi")]
pub mod schema {
    pub use super::devices::RegisterWire;
    pub use super::ledger::ResolveWire;
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
