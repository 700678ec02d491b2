//! Why a server does not start.

use std::net::SocketAddr;

use tidelog_core::catalog::CatalogError;
use tidelog_postgres::{DurabilityError, MigrateError, StoreError};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The schema could not be migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database's settings would lose acknowledged edits in a crash.
    #[error(transparent)]
    Durability(#[from] DurabilityError),
    /// The first catalog is invalid.
    #[error("{name}: {error}")]
    Catalog {
        /// The file, or `the default catalog`.
        name: String,
        /// What is wrong, by line and column.
        error: CatalogError,
    },
    /// The first catalog has a `custom` rule for which this program has no resolver.
    #[error("{name}: {what}")]
    NoResolver {
        /// The file, or `the default catalog`.
        name: String,
        /// The rule, and the resolver that is missing.
        what: String,
    },
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}: {error}; pass another {option}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that names it.
        option: &'static str,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The projector's threads could not be started.
    #[error("cannot start the projector's threads: {0}")]
    Threads(std::io::Error),
    /// Two metrics have the same name, which is a bug.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}
