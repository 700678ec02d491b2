//! The OS user that runs Postgres: the one that runs this process, except for root, as which Postgres refuses to run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use crate::EmbeddedError;

/// The OS user that Postgres runs as when this process runs as root.
#[derive(Clone, Debug)]
pub(crate) struct OsUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl OsUser {
    /// The user for a cluster: its owner, or else `postgres`, or else `nobody`. `None` if this process is not root's.
    ///
    /// A cluster that root owns, such as one that was copied from a backup, is given to the user first.
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
            user.own_tree(pgdata).map_err(EmbeddedError::io("change the owner of", pgdata))?;
        }
        Ok(Some(user))
    }

    /// Makes this user the owner of an open file or directory.
    pub(crate) fn own(&self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }

    /// Makes this user the owner of a directory and everything in it.
    fn own_tree(&self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own_tree(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// The name of the user, for messages.
pub(crate) fn name(user: Option<&OsUser>) -> String {
    user.map_or_else(|| "this OS user".to_owned(), |user| format!("OS user `{}`", user.name))
}

/// A command that runs as `user`, in `/`, without the environment variables that change what Postgres does.
///
/// It runs in `/` because Postgres up to 15 cannot even start in a directory that its user may not enter. It is in a
/// process group of its own, so that Ctrl-C reaches this process alone, and connections can end before the server does.
pub(crate) fn command(program: &Path, user: Option<&OsUser>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).process_group(0).env("LC_ALL", "C");
    for name in
        ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGCLIENTENCODING"]
    {
        command.env_remove(name);
    }
    if let Some(user) = user {
        // The standard library also drops root's supplementary groups.
        command.uid(user.uid).gid(user.gid);
    }
    command
}
