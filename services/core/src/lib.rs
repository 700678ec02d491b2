//! What every Tidelog replica must agree on, as pure functions and plain data.
//!
//! CORE-1: nothing here performs I/O, awaits, reads a clock or draws a random number. The server, a phone and an
//! analyst's script that fold the same log must reach the same bytes, so the crate depends on nothing that could differ
//! between them. Kept by `services/testkit/tests/tidy.rs`.
//!
//! Start with [`op`] (what a device intends), [`event`] (what the log stores), [`catalog`] (the rules) and [`fold`]
//! (how events become records, with an example of two devices in conflict). [`wire`] holds the requests and responses
//! of the protocol. docs/MODEL.md explains the words.

pub mod catalog;
pub mod error;
pub mod fold;
pub mod ids;
pub mod limits;
pub mod time;
pub mod value;
pub mod wire;

mod log;
mod msgpack;
mod text;

pub use log::{cursor, device_change, digest, event, event_ref, judge, op, verdict};
