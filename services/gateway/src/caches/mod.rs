//! What the gateway keeps in memory of what the database has, and of what it is to be told.

pub(crate) mod catalogs;
pub(crate) mod presence;
