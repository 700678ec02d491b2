//! The data directory, and the paths in it.

pub(crate) mod lock;
pub(crate) mod pidfile;
pub(crate) mod private_dir;
pub(crate) mod socket;

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::EmbeddedError;

/// An existing data directory, by its absolute path without symlinks.
///
/// It belongs to the OS user that runs this process. If that is root, only what Postgres needs is given to Postgres' OS
/// user, and never the directory itself: otherwise that user could put a symlink where root writes next.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Opens the directory, and creates it if it does not exist.
    pub(crate) fn create(path: &Path) -> Result<DataDir, EmbeddedError> {
        // If this is root's, others may pass through but not list it, so that Postgres' OS user reaches its directories.
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        let created = DirBuilder::new().recursive(true).mode(mode).create(path);
        created.map_err(EmbeddedError::io("create", path))?;
        let path = path.canonicalize().map_err(EmbeddedError::io("open", path))?;
        if path.join("PG_VERSION").exists() {
            let reason = "is a Postgres cluster itself, and not a directory to put one in".to_owned();
            return Err(EmbeddedError::BadDirectory { path, reason });
        }
        Ok(DataDir { path })
    }

    /// Opens the directory; `None` if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Option<DataDir>, EmbeddedError> {
        match path.canonicalize() {
            Ok(path) => Ok(Some(DataDir { path })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("open", path)(error)),
        }
    }

    /// The major version of Postgres that created the cluster; `None` if there is no cluster yet.
    pub(crate) fn cluster_version(&self) -> Result<Option<u32>, EmbeddedError> {
        let pgdata = self.pgdata();
        let bad = |reason: &str| EmbeddedError::BadDirectory { path: pgdata.clone(), reason: reason.to_owned() };
        match fs::read_to_string(pgdata.join("PG_VERSION")) {
            Ok(version) => version.trim().parse().map(Some).map_err(|_| bad("has an unreadable PG_VERSION")),
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_dir(&pgdata).map(Iterator::count) {
                Ok(0) => Ok(None),
                Ok(_) => Err(bad("holds files and is no Postgres cluster")),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(EmbeddedError::io("read", &pgdata)(error)),
            },
            Err(error) => Err(EmbeddedError::io("read", &pgdata)(error)),
        }
    }

    /// The data directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Directory of the cluster.
    pub(crate) fn pgdata(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// Directory of the cluster while it is being created, so that an unfinished one never looks like a finished one.
    pub(crate) fn unfinished_pgdata(&self) -> PathBuf {
        self.path.join("postgres.new")
    }

    /// Directory of the socket, if that path is short enough.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    /// File that names the directory of the socket, if it is another one.
    pub(crate) fn socket_record(&self) -> PathBuf {
        self.path.join("socket.path")
    }

    /// Log of the server.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Log of an earlier server.
    pub(crate) fn older_log(&self) -> PathBuf {
        self.path.join("postgres.log.1")
    }

    /// File that the process which started the server keeps locked.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }
}
