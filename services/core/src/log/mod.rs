//! The log: operations and the events that they become, cursors and digests, and what is decided about each op.

pub mod cursor;
pub mod device_change;
pub mod digest;
pub mod event;
pub mod event_ref;
pub mod judge;
pub mod op;
pub mod verdict;
