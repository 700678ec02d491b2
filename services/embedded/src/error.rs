//! Why an embedded Postgres can't be had, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::POSTGRES_MAJOR_MIN;

/// Why an embedded Postgres can't be had; each message is one line and names the way out.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There are no usable binaries on this machine.
    #[error(
        "found no Postgres {POSTGRES_MAJOR_MIN} or newer (looked in {looked_in}): run `make postgres` or \
         `apt-get install postgresql`, name its bin directory with --pg-bin, or a database of your own with --database-url"
    )]
    NotFound {
        /// The places that were searched.
        looked_in: String,
    },

    /// The cluster was made by a version whose binaries are not here; another version can't read it.
    #[error(
        "{} was made by Postgres {wanted}, and what is installed is {found}: install Postgres {wanted}, name its bin \
         directory with --pg-bin, or choose another --data-dir", .pgdata.display()
    )]
    VersionNotFound {
        /// The cluster's directory.
        pgdata: PathBuf,
        /// The major version it needs.
        wanted: u32,
        /// The major versions that were found, or `none`.
        found: String,
    },

    /// The directory that was named holds no usable binaries.
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

    /// Postgres refuses to run as root and there is nobody else to run it as.
    #[error(
        "Postgres does not run as root and there is no OS user `postgres` or `nobody`: create one (`useradd --system \
         postgres`), run as an ordinary user, or name a database of your own with --database-url"
    )]
    NoOsUser,

    /// The OS user that Postgres runs as may not pass a directory above its own.
    #[error(
        "OS user `{user}`, which runs Postgres, cannot enter {}: choose a --data-dir below directories that every user \
         may enter, or do not run as root", .path.display()
    )]
    Unreachable {
        /// The directory it needs.
        path: PathBuf,
        /// The OS user's name.
        user: String,
    },

    /// Another server holds the directory.
    #[error("a server already runs on {} ({holder}): stop it first, or choose another --data-dir", .data_dir.display())]
    AlreadyRunning {
        /// The directory both want.
        data_dir: PathBuf,
        /// Who holds it, as far as is known.
        holder: String,
    },

    /// The directory is in use for something else, or not safe to use.
    #[error("{} {reason}: choose another --data-dir, or move it away", .path.display())]
    BadDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// `initdb` failed; nothing is left of its work.
    #[error("initdb could not make {} ({detail}): mend that, or choose another --data-dir", .pgdata.display())]
    Initdb {
        /// The cluster it should have made.
        pgdata: PathBuf,
        /// What it said last.
        detail: String,
    },

    /// The server ended when it should not have.
    #[error("Postgres ended by itself, {status} ({detail}): see {}", .log.display())]
    Exited {
        /// How it ended.
        status: String,
        /// What it said last.
        detail: String,
        /// Where the rest is.
        log: PathBuf,
    },

    /// The server is there and does not get ready.
    #[error("Postgres was not ready after {waited_s} s and was stopped ({detail}): see {}", .log.display())]
    NotReady {
        /// How long it had.
        waited_s: u64,
        /// What it said last.
        detail: String,
        /// Where the rest is.
        log: PathBuf,
    },

    /// The server did not stop when told to.
    #[error("Postgres did not stop within {waited_s} s and was killed; the next start recovers: see {}", .log.display())]
    Killed {
        /// How long it had.
        waited_s: u64,
        /// Where it says why.
        log: PathBuf,
    },

    /// The operating system refused something.
    #[error("cannot {action} {}: {cause}: run as the user that owns it, or choose another --data-dir", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: `fs::read(path).map_err(EmbeddedError::io("read", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
        move |cause| EmbeddedError::Io { action, path: path.to_owned(), cause }
    }
}
