//! The tidelog server and its command line.
//!
//! [`Server::start`] is the whole server in a process, as `tidelog serve` and the tests run it; [`embedded`] is the
//! Postgres that comes with it when no database is named; [`cli`] is the command line.

pub mod cli;
pub mod embedded;
mod folding;
mod server;

pub use server::{InitialCatalog, Roles, Server, ServerConfig, ServerError};

/// The catalog that is in force until an app brings its own.
pub const DEFAULT_CATALOG: &str = include_str!("../../../schema/catalogs/default.toml");
