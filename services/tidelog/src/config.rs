//! The configuration of a server.

use std::net::SocketAddr;
use std::path::PathBuf;

use tidelog_core::fold::Resolvers;
use tidelog_gateway::{CorsOrigin, RateLimitConfig, Runtime};

/// Which parts of the server run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// The HTTP API.
    pub gateway: bool,
    /// Folding events into records.
    pub projector: bool,
}

impl Roles {
    /// Gateway and projector.
    pub const ALL: Roles = Roles { gateway: true, projector: true };
}

/// The catalog to put in force if none is.
#[derive(Debug, Clone)]
pub struct InitialCatalog {
    /// Where it comes from, for messages: a file, or `the default catalog`.
    pub name: String,
    /// Its TOML source.
    pub source: String,
    /// Whether the operator named it. If so, the log warns when another catalog is in force.
    pub is_asked_for: bool,
}

/// The configuration of a server.
pub struct ServerConfig {
    /// URL of the database, with a login that may migrate it.
    pub database_url: String,
    /// Address of the API for apps; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Address of the admin listener for operators, if there is to be one.
    pub admin_listen: Option<SocketAddr>,
    /// What runs in this process.
    pub roles: Roles,
    /// Maximum number of database connections, including those of the projector.
    pub pool_size: usize,
    /// Append workers. Each runs one append transaction at a time on a connection of its own.
    pub append_workers: usize,
    /// Projector workers. Each folds one workspace at a time on up to two connections. There are fewer if they would take
    /// more than half of the pool.
    pub projector_workers: usize,
    /// Whether one transaction may append to several workspaces; off under Citus.
    pub group_workspaces: bool,
    /// Connections of clients that the process can have open: its file descriptors less those that it needs itself.
    pub connections_max: usize,
    /// Memory that request bodies may take at once, in bytes.
    pub body_memory_bytes_max: usize,
    /// How many requests a second callers may send.
    pub rate_limits: RateLimitConfig,
    /// The origins whose web pages may call the API.
    pub cors_origins: Vec<CorsOrigin>,
    /// The data directory of the database, if it is embedded.
    pub data_dir: Option<PathBuf>,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// Whether to start on a database whose settings lose acknowledged edits in a crash.
    pub allow_unsafe_durability: bool,
    /// Whether other processes use the same database. Wake-up hints are then exchanged with them by NOTIFY.
    pub shared_database: bool,
    /// The catalog to put in force if none is.
    pub catalog: InitialCatalog,
    /// Resolvers of the embedding program's `custom` rules.
    pub resolvers: Resolvers,
    /// Clock and randomness.
    pub runtime: Runtime,
}
