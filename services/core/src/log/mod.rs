//! What the log is made of: operations and the events they become, cursors, digests, and what is decided about each op.

pub mod cursor;
pub mod digest;
pub mod event;
pub mod event_ref;
pub mod judge;
pub mod op;
pub mod verdict;
