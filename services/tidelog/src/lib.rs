//! The tidelog server and its command line.
//!
//! [`Server::start`] is the whole server in a process, as `tidelog serve` and the tests run it; [`cli`] is the command
//! line.

pub mod cli;
mod config;
mod error;
mod projector_runtime;
mod server;

pub use config::{InitialCatalog, Roles, ServerConfig};
pub use error::ServerError;
pub use server::Server;

/// The catalog that is in force until an app brings its own.
pub const DEFAULT_CATALOG: &str = include_str!("../../../schema/catalogs/default.toml");
