//! An embedded Postgres: a real server as a child process, for when no database is named.
//!
//! It listens on a Unix socket in a directory that only its own OS user may enter, never on TCP, which is why it asks no
//! password. It is as durable as any Postgres unless a test says otherwise, and it goes when this process goes, however
//! that happens: there are no orphans. Nothing is ever downloaded here; `make postgres` does that.
//!
//! ```text
//! <data_dir>/postgres      the cluster (PGDATA); postgres.new while it is being made
//! <data_dir>/socket        the socket's directory; socket.path names another one where this path is too long
//! <data_dir>/postgres.log  what the server says; the one before is postgres.log.1
//! <data_dir>/lock          held by the process that started the server
//! ```

mod binaries;
mod data_dir;
mod error;
mod process;
mod user;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use error::EmbeddedError;

use binaries::search_paths::SearchPaths;
use data_dir::{DataDir, initdb, lock, socket};
use process::attach;
use process::launch::Launch;
use process::supervisor::Supervisor;
use user::OsUser;

/// The oldest Postgres that can be embedded.
pub const POSTGRES_MAJOR_MIN: u32 = 15;
/// The cluster's superuser, and the user in every URL.
pub const SUPERUSER: &str = "tidelog";
/// Names the socket file only: nothing listens on TCP.
const PORT: u16 = 5432;

/// Where a cluster lives and how careful it is.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The directory of everything the cluster keeps; made if it is not there.
    pub data_dir: PathBuf,
    /// The one directory to take `postgres` and `initdb` from; `None` looks in the usual places.
    pub pg_bin: Option<PathBuf>,
    /// What a crash may cost.
    pub durability: Durability,
    /// Postgres' `max_connections`; each costs memory, so hundreds rather than thousands.
    pub max_connections: u32,
}

/// What a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was committed stays: `fsync`, `synchronous_commit` and `full_page_writes` are on.
    Full,
    /// All three are off: for tests that don't crash the machine or the server. A clean stop still keeps everything.
    None,
}

/// A running Postgres.
///
/// One that was started here is stopped by [`Cluster::stop`] or on drop, which blocks until it has stopped; one that was
/// attached to is left alone.
#[derive(Debug)]
pub struct Cluster {
    socket_dir: PathBuf,
    pid: u32,
    /// `None` when attached. Declared before the lock, so that the lock outlives the server.
    keeper: Option<Supervisor>,
    _lock: Option<File>,
}

impl Cluster {
    /// Starts Postgres on `config.data_dir`, making the cluster first if there is none; blocks until it answers queries.
    ///
    /// Waits up to 10 s for a server that is just leaving the directory, up to 60 s for readiness, and up to 300 s while
    /// Postgres says it is still starting, which is how crash recovery looks.
    pub fn start(config: &ClusterConfig) -> Result<Cluster, EmbeddedError> {
        let home = DataDir::create(&config.data_dir)?;
        let lock = lock::take(&home)?;
        let user = OsUser::for_cluster(&home.pgdata())?;
        let places = SearchPaths::of_this_machine();
        let wanted = home.version()?;
        let binaries = binaries::find(config.pg_bin.as_deref(), wanted, &home, &places, user.as_ref())?;
        if wanted.is_none() {
            initdb::make(&home, &binaries, user.as_ref(), config.durability)?;
        }
        let socket_dir = socket::choose(&home, &places.temp)?;
        let launch = Launch {
            binaries,
            user,
            socket_dir: socket_dir.clone(),
            durability: config.durability,
            max_connections: config.max_connections,
            home,
        };
        let (keeper, pid) = Supervisor::start(launch)?;
        Ok(Cluster { socket_dir, pid, keeper: Some(keeper), _lock: Some(lock) })
    }

    /// The server that runs on `data_dir`, started by whichever process; `None` if none is ready there.
    pub fn attach(data_dir: &Path) -> Result<Option<Cluster>, EmbeddedError> {
        let found = attach::find(data_dir)?;
        Ok(found.map(|(socket_dir, pid)| Cluster { socket_dir, pid, keeper: None, _lock: None }))
    }

    /// A libpq URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(&self.socket_dir.to_string_lossy());
        format!("postgresql:///{}?host={host}&user={SUPERUSER}&port={PORT}", percent_encode(database))
    }

    /// The directory of the server's socket; only the server's OS user and root may enter it.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Resolves when a server that was started here is gone, whoever ended it: nothing brings it back. [`Cluster::stop`]
    /// then says how it ended. Never resolves for an attached one. To be called and awaited within a tokio runtime.
    pub fn wait_for_end(&self) -> Result<impl Future<Output = ()> + Send + use<>, EmbeddedError> {
        let watched = self.keeper.as_ref().map(Supervisor::wait_for_end).transpose();
        let watched = watched.map_err(EmbeddedError::io("watch the server of", &self.socket_dir))?;
        Ok(async move {
            match watched {
                Some(end) => end.await,
                None => std::future::pending().await,
            }
        })
    }

    /// Stops a server that was started here, ending its connections, and waits for it; leaves an attached one alone.
    ///
    /// After 30 s it is killed. That, like a server that was gone already, is an error, though `Durability::Full` loses
    /// nothing by it.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.keeper.take().map_or(Ok(()), Supervisor::stop)
    }
}

/// Everything but RFC 3986's unreserved characters, so that a path survives as a query parameter.
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
    fn a_path_survives_as_a_query_parameter() {
        assert_eq!(super::percent_encode("/a b/ü&=%~"), "%2Fa%20b%2F%C3%BC%26%3D%25~");
    }
}
