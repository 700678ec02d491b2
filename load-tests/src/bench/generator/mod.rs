//! The load generator: encodes ops, pushes them and pulls events, with as little CPU time of its own as possible.

pub(crate) mod payloads;
pub(crate) mod pull;
pub(crate) mod push;
