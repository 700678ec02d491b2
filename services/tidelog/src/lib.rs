//! The Tidelog server and its command line.
//!
//! [`Server::start`] runs the whole server in this process, as `tidelog serve` and the tests do. [`cli`] is the command
//! line; a program with conflict rules of its own passes them to [`cli::main_with`].

pub mod cli;
mod config;
mod error;
mod projector_runtime;
mod server;

pub use config::{InitialCatalog, Roles, ServerConfig};
pub use error::ServerError;
pub use server::Server;

/// The catalog of a new server unless the operator names another: one role that may write every table.
pub const DEFAULT_CATALOG: &str = include_str!("../../../schema/catalogs/default.toml");
