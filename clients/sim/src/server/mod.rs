//! A model of the server: one workspace in memory, with the rules of the append and core's folder.

mod append;
mod devices;
mod http;
mod log;
mod pull;
mod records;

pub(crate) use http::{Refusal, Served};
pub(crate) use log::ModelServer;
