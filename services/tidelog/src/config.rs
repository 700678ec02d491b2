//! How a server is set up.

use std::net::SocketAddr;

use tidelog_core::fold::Resolvers;
use tidelog_gateway::Runtime;

/// Which parts run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// HTTP.
    pub gateway: bool,
    /// Folding.
    pub projector: bool,
}

impl Roles {
    /// Both.
    pub const ALL: Roles = Roles { gateway: true, projector: true };
}

/// The catalog to put in force if none is.
#[derive(Debug, Clone)]
pub struct InitialCatalog {
    /// Where it comes from, for messages.
    pub name: String,
    /// Its TOML.
    pub source: String,
    /// Whether somebody named it: then it is told if another is in force.
    pub is_asked_for: bool,
}

/// How a server is set up.
pub struct ServerConfig {
    /// The database, as a login that may migrate it.
    pub database_url: String,
    /// Where apps reach it; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where operators reach it, if they do.
    pub admin_listen: Option<SocketAddr>,
    /// What runs here.
    pub roles: Roles,
    /// Most database connections, those of the projector among them.
    pub pool_size: usize,
    /// Appends under way at once.
    pub append_workers: usize,
    /// Workspaces folded at once, each on up to two connections; fewer where they would take half the pool.
    pub projector_workers: usize,
    /// Whether one transaction may append to several workspaces; off under Citus.
    pub group_workspaces: bool,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// Whether a database that loses acknowledged edits in a crash will do.
    pub allow_unsafe_durability: bool,
    /// Whether other processes share the database: they are told what moves.
    pub shared_database: bool,
    /// The first catalog.
    pub catalog: InitialCatalog,
    /// The embedding program's `custom` rules.
    pub resolvers: Resolvers,
    /// Clock and randomness.
    pub runtime: Runtime,
}
