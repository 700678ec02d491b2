//! Commands that run the server or tell how it is.

pub(crate) mod demo;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod status;
