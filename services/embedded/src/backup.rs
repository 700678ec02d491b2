//! Base backups: a copy of a running cluster with the WAL that it needs, checked byte for byte, and the way back.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::EmbeddedError;
use crate::binaries::search_paths::SearchPaths;
use crate::binaries::{self, Binaries};
use crate::data_dir::{DataDir, lock};
use crate::process::{initdb, log, parent};
use crate::user::{self, OsUser};

/// Copies the running cluster at `url` into `target`, and checks the copy. Returns the size of the copy in bytes.
///
/// The login needs the attribute REPLICATION. The cluster serves on meanwhile. The target must not exist or be empty. The
/// copy is in `target/postgres`, so that `target` is a data directory itself. It has that name only when it is whole and
/// checked: before, it is `target/postgres.new`, which the next start removes.
pub fn backup(url: &str, pg_bin: Option<&Path>, target: &Path) -> Result<u64, EmbeddedError> {
    let target = DataDir::create(target)?;
    let _lock = lock::acquire(&target)?;
    refuse_existing(&target)?;
    let binaries = binaries::find(pg_bin, None, &target, &SearchPaths::of_this_machine(), None)?;
    let (unfinished, finished) = (target.unfinished_pgdata(), target.pgdata());
    remove(&unfinished)?;
    let mut command = user::command(&binaries.program("pg_basebackup"), None);
    command
        .args(["--wal-method=stream", "--checkpoint=fast", "--no-password", "--dbname", url, "--pgdata"])
        .arg(&unfinished);
    run(command, "copy the cluster to", &unfinished)?;
    check(&binaries_of_copy(pg_bin, &target)?, &unfinished)?;
    fs::rename(&unfinished, &finished).map_err(EmbeddedError::io("create", &finished))?;
    size_bytes(&finished).map_err(EmbeddedError::io("read", &finished))
}

/// The programs of the version that the copied cluster has. The newest ones copy any version, and read the WAL of their own
/// alone.
fn binaries_of_copy(pg_bin: Option<&Path>, target: &DataDir) -> Result<Binaries, EmbeddedError> {
    let path = target.unfinished_pgdata().join("PG_VERSION");
    let text = fs::read_to_string(&path).map_err(EmbeddedError::io("read", &path))?;
    let unreadable = || EmbeddedError::BadDirectory { path: path.clone(), reason: "is unreadable".to_owned() };
    let version = text.trim().parse().map_err(|_| unreadable())?;
    binaries::find(pg_bin, Some(version), target, &SearchPaths::of_this_machine(), None)
}

/// Checks the backup in `source`, and copies it to the data directory `target`, which must hold no cluster yet. The next
/// start of a server there recovers it. Returns its size in bytes.
pub fn restore(source: &Path, pg_bin: Option<&Path>, target: &Path) -> Result<u64, EmbeddedError> {
    let no_backup = |reason: &str| EmbeddedError::BadDirectory { path: source.to_owned(), reason: reason.to_owned() };
    let source = DataDir::open(source)?.ok_or_else(|| no_backup("does not exist"))?;
    let version = source.cluster_version()?.ok_or_else(|| no_backup("holds no backup"))?;
    let target = DataDir::create(target)?;
    let _lock = lock::acquire(&target)?;
    refuse_existing(&target)?;
    let binaries = binaries::find(pg_bin, Some(version), &source, &SearchPaths::of_this_machine(), None)?;
    check(&binaries, &source.pgdata())?;
    let (unfinished, finished) = (target.unfinished_pgdata(), target.pgdata());
    remove(&unfinished)?;
    copy_dir(&source.pgdata(), &unfinished).map_err(EmbeddedError::io("copy the backup to", &unfinished))?;
    // Gives the copy to Postgres' OS user if this process is root's.
    OsUser::for_cluster(&unfinished)?;
    fs::rename(&unfinished, &finished).map_err(EmbeddedError::io("create", &finished))?;
    size_bytes(&finished).map_err(EmbeddedError::io("read", &finished))
}

fn refuse_existing(target: &DataDir) -> Result<(), EmbeddedError> {
    match target.cluster_version()? {
        None => Ok(()),
        Some(_) => {
            let reason = "holds a cluster already, which is never overwritten".to_owned();
            Err(EmbeddedError::BadDirectory { path: target.path().to_owned(), reason })
        }
    }
}

/// Compares every file with the backup's manifest, and reads the WAL that it needs.
fn check(binaries: &Binaries, backup: &Path) -> Result<(), EmbeddedError> {
    let mut command = user::command(&binaries.program("pg_verifybackup"), None);
    command.arg(backup);
    run(command, "check the backup in", backup)
}

fn run(mut command: Command, action: &'static str, path: &Path) -> Result<(), EmbeddedError> {
    parent::tie(&mut command, initdb::PARENT_DEATH_SIGNAL, Vec::new());
    let output = initdb::run(command).map_err(EmbeddedError::io(action, path))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(EmbeddedError::Backup { action, path: path.to_owned(), detail: log::last_lines(&output.stderr) }),
    }
}

fn remove(dir: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(EmbeddedError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// Copies a directory of files and directories; a base backup has nothing else unless the cluster has tablespaces.
fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if fs::symlink_metadata(&entry)?.is_dir() {
            copy_dir(&entry, &to)?;
        } else {
            fs::copy(&entry, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn size_bytes(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut dirs: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.metadata()? {
                found if found.is_dir() => dirs.push(entry.path()),
                found => sum += found.len(),
            }
        }
    }
    Ok(sum)
}
