//! The conflict rules as stories of two or three devices, straight from the design, and that a log folds alike however
//! it is cut.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

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
