//! Directories that only Postgres' OS user may enter, and how Postgres reaches them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::OFlag;

use crate::EmbeddedError;
use crate::user::{self, OsUser};

/// A private directory that Postgres can reach.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    /// The path under which Postgres reaches it.
    pub(crate) path: PathBuf,
    /// The open directory, if `path` goes through it. It must stay open in Postgres' process.
    pub(crate) open_file: Option<File>,
}

/// Makes `path` private to Postgres' OS user, and finds a path under which Postgres reaches it.
///
/// That user may not be allowed to pass a directory above, such as root's home, and it is not for us to open those to
/// others. So root opens the directory and passes the open file on: a path through the open file passes no directory above.
pub(crate) fn prepare(path: &Path, user: Option<&OsUser>, postgres: &Path) -> Result<PrivateDir, EmbeddedError> {
    let file = make_private(path, user)?;
    if user.is_none() || can_enter(path, user, postgres)? {
        return Ok(PrivateDir { path: path.to_owned(), open_file: None });
    }
    if cfg!(target_os = "linux") {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        return Ok(PrivateDir { path, open_file: Some(file) });
    }
    Err(EmbeddedError::Unreachable { path: path.to_owned(), user: user::name(user) })
}

/// Makes `path` a directory that belongs to `user` and that nobody else may enter (mode 0700), whatever it was before.
fn make_private(path: &Path, user: Option<&OsUser>) -> Result<File, EmbeddedError> {
    let make = || -> io::Result<File> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Owner and mode are changed on the open directory, since the path could become a symlink in between.
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        let dir = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if let Some(user) = user {
            user.own(&dir)?;
        }
        dir.set_permissions(Permissions::from_mode(0o700))?;
        Ok(dir)
    };
    make().map_err(EmbeddedError::io("make a private directory of", path))
}

/// Whether `user` may enter a directory. It is tried, since more than mode bits decides. `postgres` is known to run, so a
/// refusal is about the directory.
fn can_enter(dir: &Path, user: Option<&OsUser>, postgres: &Path) -> Result<bool, EmbeddedError> {
    let mut probe = user::command(postgres, user);
    match probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).current_dir(dir).status() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(EmbeddedError::io("enter", dir)(error)),
    }
}
