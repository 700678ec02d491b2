//! The oracle against expectations made by hand, a sentence of the rules a test, and what stands around it.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "oracle/conflicts.rs"]
mod conflicts;
#[path = "oracle/deletes.rs"]
mod deletes;
#[path = "oracle/generated.rs"]
mod generated;
#[path = "oracle/puts.rs"]
mod puts;
#[path = "oracle/script.rs"]
mod script;
