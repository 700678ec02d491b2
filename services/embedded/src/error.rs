//! Why an embedded Postgres cannot be used, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::POSTGRES_MAJOR_MIN;

/// Why an embedded Postgres cannot be used. Each message is one line and names the next step.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There are no usable Postgres programs on this machine.
    #[error(
        "found no Postgres {POSTGRES_MAJOR_MIN} or newer (searched {searched}): run `make postgres` or `apt-get install \
         postgresql`, name its bin directory with --pg-bin, or a database of your own with --database-url"
    )]
    NotFound {
        /// The places that were searched.
        searched: String,
    },

    /// The cluster was created by a version of Postgres that is not installed. No other version can read it.
    #[error(
        "{} was created by Postgres {wanted}, and the installed versions are {found}: install Postgres {wanted}, name its \
         bin directory with --pg-bin, or choose another --data-dir", .pgdata.display()
    )]
    VersionNotFound {
        /// Directory of the cluster.
        pgdata: PathBuf,
        /// The major version that the cluster needs.
        wanted: u32,
        /// The major versions that were found, or `none`.
        found: String,
    },

    /// The directory that was named holds no usable programs.
    #[error(
        "--pg-bin {}: {reason}: it must name the directory of `postgres` and `initdb`, {POSTGRES_MAJOR_MIN} or newer",
        .bin.display()
    )]
    BadBinaries {
        /// The directory that was named.
        bin: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// This process runs as root, as which Postgres refuses to run, and there is no other user to run it as.
    #[error(
        "Postgres does not run as root and there is no OS user `postgres` or `nobody`: create one (`useradd --system \
         postgres`), run as an ordinary user, or name a database of your own with --database-url"
    )]
    NoOsUser,

    /// The OS user that runs Postgres may not pass a directory above its own.
    #[error(
        "OS user `{user}`, which runs Postgres, cannot enter {}: choose a --data-dir below directories that every user \
         may enter, or do not run as root", .path.display()
    )]
    Unreachable {
        /// The directory that it needs.
        path: PathBuf,
        /// Name of the OS user.
        user: String,
    },

    /// Another server uses the directory.
    #[error("a server already runs on {} ({holder}): stop it first, or choose another --data-dir", .data_dir.display())]
    AlreadyRunning {
        /// The data directory.
        data_dir: PathBuf,
        /// The process that uses it, as far as is known.
        holder: String,
    },

    /// A directory is used for something else, or is not safe to use.
    #[error("{} {reason}: choose another --data-dir, or move it away", .path.display())]
    BadDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// `initdb` failed. What it had written is removed.
    #[error("initdb could not create {} ({detail}): mend that, or choose another --data-dir", .pgdata.display())]
    Initdb {
        /// The cluster that it should have created.
        pgdata: PathBuf,
        /// The last lines that it printed.
        detail: String,
    },

    /// A backup could not be made, or is not whole.
    #[error("cannot {action} {}: {detail}", .path.display())]
    Backup {
        /// What was done.
        action: &'static str,
        /// The directory of the backup.
        path: PathBuf,
        /// The last lines of the program that failed.
        detail: String,
    },

    /// The server ended without being asked to.
    #[error("Postgres ended by itself, {status} ({detail}): see {}", .log.display())]
    Exited {
        /// How it ended: exit status or signal.
        status: String,
        /// The last lines of its log.
        detail: String,
        /// Its log.
        log: PathBuf,
    },

    /// The server ended because its disk is full.
    #[error(
        "no space left on the disk of Postgres, which ended by itself, {status}: free some space and start again; what was \
         acknowledged is stored; see {}", .log.display()
    )]
    DiskFull {
        /// How it ended: exit status or signal.
        status: String,
        /// Its log.
        log: PathBuf,
    },

    /// The server is running, but was not ready in time. It was stopped.
    #[error("Postgres was not ready after {waited_s} s and was stopped ({detail}): see {}", .log.display())]
    NotReady {
        /// How long it had, in seconds.
        waited_s: u64,
        /// The last lines of its log.
        detail: String,
        /// Its log.
        log: PathBuf,
    },

    /// The server did not stop in time. It was killed.
    #[error("Postgres did not stop within {waited_s} s and was killed; it recovers at the next start: see {}", .log.display())]
    Killed {
        /// How long it had, in seconds.
        waited_s: u64,
        /// Its log.
        log: PathBuf,
    },

    /// The operating system refused an operation.
    #[error("cannot {action} {}: {cause}: run as the user that owns it, or choose another --data-dir", .path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: `fs::read(path).map_err(EmbeddedError::io("read", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
        move |cause| EmbeddedError::Io { action, path: path.to_owned(), cause }
    }
}
