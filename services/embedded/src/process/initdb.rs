//! Creates a cluster with `initdb`: all of it, or nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::data_dir::{DataDir, private_dir};
use crate::process::parent::{self, ParentWatch};
use crate::process::{POLL_INTERVAL, log};
use crate::user::{self, OsUser};
use crate::{Durability, EmbeddedError, SUPERUSER};

/// How long the children of a killed `initdb` may go on writing into the directory it left.
const LEFTOVER_TIME_MAX: Duration = Duration::from_secs(10);
/// The signal for `initdb` when this process dies. It is killed and not asked to stop: it would remove its files while the
/// next start removes them too.
pub(crate) const PARENT_DEATH_SIGNAL: Signal = Signal::SIGKILL;

/// Runs `initdb` in a directory beside the cluster's, and renames that when it is complete.
pub(crate) fn create_cluster(
    data_dir: &DataDir,
    binaries: &Binaries,
    user: Option<&OsUser>,
    durability: Durability,
) -> Result<(), EmbeddedError> {
    remove_leftover(data_dir)?;
    let (unfinished, pgdata) = (data_dir.unfinished_pgdata(), data_dir.pgdata());
    let private_dir = private_dir::prepare(&unfinished, user, &binaries.postgres())?;
    let mut command = user::command(&binaries.initdb(), user);
    command.arg("-D").arg(&private_dir.path).args(["-U", SUPERUSER, "--auth=trust", "--data-checksums"]);
    command.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    parent::tie(&mut command, PARENT_DEATH_SIGNAL, private_dir.open_file.into_iter().collect());
    tracing::info!(postgres.data = %pgdata.display(), "creating a Postgres cluster");
    let output = run(command).map_err(EmbeddedError::io("run initdb for", &unfinished))?;
    if !output.status.success() {
        // If this fails, the next start removes it.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(EmbeddedError::Initdb { pgdata, detail: log::last_lines(&output.stderr) });
    }
    fs::rename(&unfinished, &pgdata).map_err(EmbeddedError::io("create", &pgdata))?;
    if durability == Durability::Full {
        // initdb has synced the cluster's files. These directories hold the names of the cluster and the data directory.
        for dir in [Some(data_dir.path()), data_dir.path().parent()].into_iter().flatten() {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(EmbeddedError::io("sync", dir))?;
        }
    }
    Ok(())
}

/// Runs a program that is tied to this process, and returns what it printed to stderr.
pub(crate) fn run(mut command: Command) -> io::Result<Output> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let _parent_watch = ParentWatch::start(child.id(), PARENT_DEATH_SIGNAL)?;
    child.wait_with_output()
}

/// Removes what an `initdb` left that was cut short.
fn remove_leftover(data_dir: &DataDir) -> Result<(), EmbeddedError> {
    let unfinished = data_dir.unfinished_pgdata();
    let deadline = Instant::now() + LEFTOVER_TIME_MAX;
    loop {
        match fs::remove_dir_all(&unfinished) {
            Ok(()) => {
                tracing::info!(path = %unfinished.display(), "removed an unfinished Postgres cluster");
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // A child of the killed `initdb` is still writing into it.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(error) => return Err(EmbeddedError::io("remove", &unfinished)(error)),
        }
    }
}
