//! The rows of the table: what is run, and the figures it gives.

pub(crate) mod memory;
pub(crate) mod project;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rebuild;
