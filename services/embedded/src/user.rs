//! Who runs Postgres: ourselves, unless we are root, as which it refuses to run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use crate::EmbeddedError;

/// The OS user that root drops to.
#[derive(Clone, Debug)]
pub(crate) struct OsUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl OsUser {
    /// Whom to drop to for this cluster: its owner, or else `postgres`, or else `nobody`; `None` if we are not root.
    ///
    /// A cluster that root owns, as one copied from a backup, is given to the user first.
    pub(crate) fn for_cluster(pgdata: &Path) -> Result<Option<OsUser>, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let owner = fs::symlink_metadata(pgdata).ok();
        if let Some(owner) = owner.as_ref().filter(|owner| owner.uid() != 0) {
            let name = User::from_uid(Uid::from_raw(owner.uid())).ok().flatten().map(|user| user.name);
            let name = name.unwrap_or_else(|| owner.uid().to_string());
            return Ok(Some(OsUser { name, uid: owner.uid(), gid: owner.gid() }));
        }
        let known = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = known.filter(|user| !user.uid.is_root()).ok_or(EmbeddedError::NoOsUser)?;
        let user = OsUser { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() };
        if owner.is_some() {
            user.take_tree(pgdata).map_err(EmbeddedError::io("change the owner of", pgdata))?;
        }
        Ok(Some(user))
    }

    /// Makes this user the owner of an open file or directory.
    pub(crate) fn take(&self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }

    fn take_tree(&self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.take_tree(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// For messages.
pub(crate) fn name(user: Option<&OsUser>) -> String {
    user.map_or_else(|| "this OS user".to_owned(), |user| format!("OS user `{}`", user.name))
}

/// A command that runs as `user`, in `/`, with nothing in its environment that would change what Postgres does.
///
/// In `/` because Postgres up to 15 can't even start in a directory its user can't enter. In a process group of its own,
/// so that Ctrl-C reaches us alone, and connections can end before the server does.
pub(crate) fn command(program: &Path, user: Option<&OsUser>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).process_group(0).env("LC_ALL", "C");
    for name in
        ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGCLIENTENCODING"]
    {
        command.env_remove(name);
    }
    if let Some(user) = user {
        // The standard library drops root's other groups along with these.
        command.uid(user.uid).gid(user.gid);
    }
    command
}
