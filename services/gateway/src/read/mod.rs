//! Reads of records, of their past and of conflicts, apart from HTTP; and settling a conflict.

pub(crate) mod as_of;
pub(crate) mod conflicts;
mod history;
mod outcomes;
pub(crate) mod records;
pub(crate) mod records_wait;
