//! Why a server does not start.

use std::net::SocketAddr;

use tidelog_core::catalog::CatalogError;
use tidelog_postgres::{DurabilityError, MigrateError, StoreError};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database's settings.
    #[error(transparent)]
    Durability(#[from] DurabilityError),
    /// The first catalog.
    #[error("{name}: {error}")]
    Catalog {
        /// Where it comes from.
        name: String,
        /// What is wrong.
        error: CatalogError,
    },
    /// The first catalog asks for a `custom` rule that this program has no resolver for.
    #[error("{name}: {what}")]
    NoResolver {
        /// Where it comes from.
        name: String,
        /// What it asks for.
        what: String,
    },
    /// The address.
    #[error("cannot listen on {address}: {error}; pass another --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Threads for the projector.
    #[error("cannot start the projector's threads: {0}")]
    Threads(std::io::Error),
    /// A metric's name is taken: an error of the code.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}
