//! The conflict rules, told as stories of two or three devices, and the promise that a log gives the same records
//! whether it is folded at once or in chunks.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

mod aliases;
mod chunks;
mod conflict_rows;
mod conflicts;
mod deletes;
mod log;
mod merges;
mod on_delete;
mod puts;
mod story;
mod whole;
