//! `/sync`: what a device does, push, pull and read records.

pub(super) mod both;
pub(super) mod ops;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod records;
pub(super) mod status;
mod stream;
