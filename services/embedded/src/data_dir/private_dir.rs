//! Directories that only Postgres may enter, and how it gets to them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::OFlag;

use crate::EmbeddedError;
use crate::user::{self, OsUser};

/// A private directory, as Postgres is to be told of it.
#[derive(Debug)]
pub(crate) struct Door {
    /// The path that works for Postgres.
    pub(crate) path: PathBuf,
    /// To be open in Postgres' process too, if the path needs it.
    pub(crate) file: Option<File>,
}

/// Makes `path` a directory of `user`'s that nobody else may enter (0700), whatever it was before.
pub(crate) fn make_private(path: &Path, user: Option<&OsUser>) -> Result<File, EmbeddedError> {
    let make = || -> io::Result<File> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // By the open directory and not by its path, since that could become a symlink in between.
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        let dir = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if let Some(user) = user {
            user.take(&dir)?;
        }
        dir.set_permissions(Permissions::from_mode(0o700))?;
        Ok(dir)
    };
    make().map_err(EmbeddedError::io("make a private directory of", path))
}

/// Makes `path` private and finds a way for Postgres to get there.
///
/// Its OS user may not be allowed to pass a directory above, such as root's home, and to open those up is not for us to do.
/// So root opens the directory and hands it over: a path through the open file passes nothing above it.
pub(crate) fn open_door(path: &Path, user: Option<&OsUser>, postgres: &Path) -> Result<Door, EmbeddedError> {
    let file = make_private(path, user)?;
    if user.is_none() || can_enter(path, user, postgres)? {
        return Ok(Door { path: path.to_owned(), file: None });
    }
    if cfg!(target_os = "linux") {
        return Ok(Door { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), file: Some(file) });
    }
    Err(EmbeddedError::Unreachable { path: path.to_owned(), user: user::name(user) })
}

/// Tried and not computed, since there is more to it than mode bits. `postgres` is known to run, so what is refused is `dir`.
fn can_enter(dir: &Path, user: Option<&OsUser>, postgres: &Path) -> Result<bool, EmbeddedError> {
    let mut probe = user::command(postgres, user);
    match probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).current_dir(dir).status() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(EmbeddedError::io("enter", dir)(error)),
    }
}
