//! Reads of records as they were, and of conflicts, apart from HTTP; with what settles a conflict.

pub(crate) mod as_of;
pub(crate) mod conflicts;
