//! The data directory: what is where in it.

pub(crate) mod initdb;
pub(crate) mod lock;
pub(crate) mod pidfile;
pub(crate) mod private_dir;
pub(crate) mod socket;

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::EmbeddedError;

/// A data directory that exists, by its absolute path without symlinks.
///
/// It belongs to whoever runs us. Where that is root, only what Postgres needs is given to its OS user, never the directory
/// itself: else that user could put a symlink where root writes next.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    dir: PathBuf,
}

impl DataDir {
    /// Makes the directory if it is not there.
    pub(crate) fn create(data_dir: &Path) -> Result<DataDir, EmbeddedError> {
        // Others may pass through and not look around: as root, Postgres' OS user must get to its own directories.
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        let made = DirBuilder::new().recursive(true).mode(mode).create(data_dir);
        made.map_err(EmbeddedError::io("create", data_dir))?;
        let dir = data_dir.canonicalize().map_err(EmbeddedError::io("open", data_dir))?;
        if dir.join("PG_VERSION").exists() {
            let reason = "is itself a Postgres cluster and not a directory for one".to_owned();
            return Err(EmbeddedError::BadDirectory { path: dir, reason });
        }
        Ok(DataDir { dir })
    }

    /// `None` if there is no such directory.
    pub(crate) fn open(data_dir: &Path) -> Result<Option<DataDir>, EmbeddedError> {
        match data_dir.canonicalize() {
            Ok(dir) => Ok(Some(DataDir { dir })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("open", data_dir)(error)),
        }
    }

    /// The major version that made the cluster; `None` if there is no cluster yet.
    pub(crate) fn version(&self) -> Result<Option<u32>, EmbeddedError> {
        let pgdata = self.pgdata();
        let bad = |reason: &str| EmbeddedError::BadDirectory { path: pgdata.clone(), reason: reason.to_owned() };
        match fs::read_to_string(pgdata.join("PG_VERSION")) {
            Ok(version) => version.trim().parse().map(Some).map_err(|_| bad("has an unreadable PG_VERSION")),
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_dir(&pgdata).map(Iterator::count) {
                Ok(0) => Ok(None),
                Ok(_) => Err(bad("holds something that is no Postgres cluster")),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(EmbeddedError::io("read", &pgdata)(error)),
            },
            Err(error) => Err(EmbeddedError::io("read", &pgdata)(error)),
        }
    }

    /// The data directory itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cluster.
    pub(crate) fn pgdata(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// The cluster while it is being made, so that a half-made one never looks like a whole one.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.dir.join("postgres.new")
    }

    /// Where the socket is, if that path is short enough.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Names the socket's directory, if it is another one.
    pub(crate) fn socket_record(&self) -> PathBuf {
        self.dir.join("socket.path")
    }

    /// What the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// Held by the process that started the server.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
}
