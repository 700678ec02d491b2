//! Reads apart from HTTP: records as they were, and conflicts.

pub(crate) mod as_of;
pub(crate) mod conflicts;
