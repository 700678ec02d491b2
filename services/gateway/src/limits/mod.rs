//! What callers share is bounded, in all, for a workspace and for a caller, so that none takes it from the others.

pub(crate) mod bodies;
pub(crate) mod rates;
pub(crate) mod shares;
pub(crate) mod waits;
