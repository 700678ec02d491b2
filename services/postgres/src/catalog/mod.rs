//! The versions of the catalog, and the SQL views that are made from the one in force.

pub(crate) mod cache;
pub(crate) mod column_names;
pub(crate) mod versions;
pub mod views;
