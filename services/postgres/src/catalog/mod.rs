//! The catalogs that were put in force, a cache of them, and the SQL views for analysts that follow from them.

pub(crate) mod cache;
pub(crate) mod column_names;
pub(crate) mod versions;
pub mod views;
