//! `/sync`: what devices call to push, pull and read records.

pub(super) mod op;
pub(super) mod ops;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod push_and_pull;
pub(super) mod records;
pub(super) mod status;
mod stream;
