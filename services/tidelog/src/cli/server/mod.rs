//! Commands that run, prepare and inspect a server.

pub(crate) mod backup;
pub(crate) mod demo;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod status;
