//! An embedded Postgres: a real server, started as a child process, for when the operator names no database.
//!
//! [`Cluster::start`] creates a cluster in a directory if there is none, starts its server and returns when it accepts
//! queries. The server ends when the [`Cluster`] is dropped or its process ends, however it ends: there are no orphans.
//!
//! ```no_run
//! use std::path::PathBuf;
//! use tidelog_embedded::{Cluster, ClusterConfig, Durability};
//!
//! # fn main() -> Result<(), tidelog_embedded::EmbeddedError> {
//! let cluster = Cluster::start(&ClusterConfig {
//!     data_dir: PathBuf::from("./data"),
//!     pg_bin: None,
//!     durability: Durability::Full,
//!     max_connections: 100,
//! })?;
//! // postgresql:///postgres?host=%2Fhome%2Fada%2Fdata%2Fsocket&user=tidelog&port=5432
//! let url = cluster.url("postgres");
//! // ... connect, work, disconnect ...
//! cluster.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! The server listens on a Unix socket in a directory that only its OS user may enter, and never on TCP. That is why it
//! asks for no password. It is as durable as any Postgres unless a test asks for less. Nothing is ever downloaded: the
//! Postgres programs have to be on the machine, and `make postgres` can install them. Why this is not done by an existing
//! crate is in `docs/adr/0009-our-own-launcher-of-postgres.md`.
//!
//! ```text
//! <data_dir>/postgres      the cluster (PGDATA); postgres.new while it is being created
//! <data_dir>/socket        directory of the socket; socket.path names another one if this path is too long
//! <data_dir>/postgres.log  log of the server; postgres.log.1 is the log before
//! <data_dir>/lock          locked by the process that started the server
//! ```

mod backup;
mod binaries;
mod data_dir;
mod error;
mod process;
mod user;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use backup::{backup, restore};
pub use error::EmbeddedError;

use binaries::search_paths::SearchPaths;
use data_dir::{DataDir, lock, socket};
use process::launch::LaunchConfig;
use process::supervisor::Supervisor;
use process::{attach, initdb};
use user::OsUser;

/// The oldest major version of Postgres that can be embedded.
pub const POSTGRES_MAJOR_MIN: u32 = 15;
/// Name of the cluster's superuser, and the user in every URL.
pub const SUPERUSER: &str = "tidelog";
/// Port number in the name of the socket file. Nothing listens on TCP.
const PORT: u16 = 5432;

/// Where a cluster lives, and how its server runs.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The directory for everything that the cluster keeps. It is created if it does not exist.
    pub data_dir: PathBuf,
    /// The directory of the programs `postgres` and `initdb`; `None` searches the usual places.
    pub pg_bin: Option<PathBuf>,
    /// What a crash may lose.
    pub durability: Durability,
    /// Postgres' setting `max_connections`. Each connection costs memory, so use hundreds rather than thousands.
    pub max_connections: u32,
}

/// What a crash may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed: `fsync`, `synchronous_commit` and `full_page_writes` are on.
    Full,
    /// Anything: all three are off, for tests that do not crash the machine or the server. A stop still keeps everything.
    None,
}

/// A running Postgres server.
///
/// A server that was started here is stopped by [`Cluster::stop`] or on drop, both of which block until it has stopped. A
/// server that was attached to is left running.
#[derive(Debug)]
pub struct Cluster {
    socket_dir: PathBuf,
    pid: u32,
    /// `None` if the server was attached to. Declared before the lock, so that the lock outlives the server.
    supervisor: Option<Supervisor>,
    _lock: Option<File>,
}

impl Cluster {
    /// Starts Postgres on `config.data_dir`, after creating the cluster if there is none. Blocks until the server accepts
    /// queries.
    ///
    /// Waits up to 10 s for an earlier server that is stopping, up to 60 s for this one to be ready, and up to 300 s while
    /// Postgres reports that it is starting, which it does during crash recovery.
    pub fn start(config: &ClusterConfig) -> Result<Cluster, EmbeddedError> {
        let data_dir = DataDir::create(&config.data_dir)?;
        let lock = lock::acquire(&data_dir)?;
        let user = OsUser::for_cluster(&data_dir.pgdata())?;
        let search_paths = SearchPaths::of_this_machine();
        let version = data_dir.cluster_version()?;
        let binaries = binaries::find(config.pg_bin.as_deref(), version, &data_dir, &search_paths, user.as_ref())?;
        if version.is_none() {
            initdb::create_cluster(&data_dir, &binaries, user.as_ref(), config.durability)?;
        }
        let socket_dir = socket::choose_dir(&data_dir, &search_paths.temporary)?;
        let launch = LaunchConfig {
            binaries,
            user,
            socket_dir: socket_dir.clone(),
            durability: config.durability,
            max_connections: config.max_connections,
            data_dir,
        };
        let (supervisor, pid) = Supervisor::start(launch)?;
        Ok(Cluster { socket_dir, pid, supervisor: Some(supervisor), _lock: Some(lock) })
    }

    /// The server that runs on `data_dir`, whichever process started it; `None` if no server is ready there.
    pub fn attach(data_dir: &Path) -> Result<Option<Cluster>, EmbeddedError> {
        let running = attach::find(data_dir)?;
        Ok(running.map(|(socket_dir, pid)| Cluster { socket_dir, pid, supervisor: None, _lock: None }))
    }

    /// A libpq URL for a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(&self.socket_dir.to_string_lossy());
        format!("postgresql:///{}?host={host}&user={SUPERUSER}&port={PORT}", percent_encode(database))
    }

    /// The directory of the server's socket. Only the server's OS user and root may enter it.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Resolves when a server that was started here has ended, for whatever reason. It is not restarted;
    /// [`Cluster::stop`] then returns how it ended. Never resolves for a server that was attached to.
    ///
    /// Must be called and awaited within a tokio runtime.
    pub fn wait_for_end(&self) -> Result<impl Future<Output = ()> + Send + use<>, EmbeddedError> {
        let end = self.supervisor.as_ref().map(Supervisor::wait_for_end).transpose();
        let end = end.map_err(EmbeddedError::io("watch the server of", &self.socket_dir))?;
        Ok(async move {
            match end {
                Some(end) => end.await,
                None => std::future::pending().await,
            }
        })
    }

    /// Stops a server that was started here: ends its connections and waits until it has stopped. Leaves a server that was
    /// attached to running.
    ///
    /// The server is killed if it takes more than 30 s. That is an error, and so is a server that had ended before. With
    /// [`Durability::Full`] neither loses anything.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.supervisor.take().map_or(Ok(()), Supervisor::stop)
    }
}

/// Encodes everything but the unreserved characters of RFC 3986, so that a path can be a query parameter.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_can_be_a_query_parameter() {
        assert_eq!(super::percent_encode("/a b/ü&=%~"), "%2Fa%20b%2F%C3%BC%26%3D%25~");
    }
}
