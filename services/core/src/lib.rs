//! What every Tidelog replica must agree on, as pure functions and plain data.
//!
//! CORE-1: nothing here performs I/O, awaits, reads a clock or draws a random number. The server, a phone and an
//! analyst's script that fold the same log must reach the same bytes, so the crate depends on nothing that could
//! differ between them. Kept by `services/testkit/tests/house.rs`.
//!
//! Start with [`op`] (what a device intends), [`event`] (what the log keeps), [`catalog`] (the rules) and [`fold`]
//! (how events become records). [`wire`] holds the request and answer shapes of the protocol.

pub mod catalog;
pub mod cursor;
pub mod digest;
pub mod error;
pub mod event;
pub mod fold;
pub mod ids;
pub mod judge;
pub mod limits;
pub mod op;
pub mod packed;
pub mod table_digest;
pub mod time;
pub mod value;
pub mod value_map;
pub mod wire;

mod msgpack;
mod msgpack_put;
mod pack;
mod packed_json;
mod packed_write;
mod text;
mod unpack;
