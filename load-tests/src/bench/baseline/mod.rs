//! The baselines: what Postgres does with the same rows without Tidelog. Each scenario is measured beside one of them.

pub(crate) mod append;
mod column_value;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod flush;
pub(crate) mod read;
mod row;
pub(crate) mod table;
pub(crate) mod upsert;
