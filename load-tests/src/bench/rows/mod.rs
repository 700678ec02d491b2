//! The rows of the table: what is run, and the figures it gives.

pub(crate) mod push;
