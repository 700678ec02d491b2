//! What the database itself can do with the same rows: the limits that Tidelog is measured against.

pub(crate) mod append;
mod cell;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod flush;
pub(crate) mod read;
pub(crate) mod table;
pub(crate) mod upsert;
