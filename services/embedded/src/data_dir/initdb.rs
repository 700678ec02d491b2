//! Makes a cluster: all of it, or nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::data_dir::DataDir;
use crate::data_dir::private_dir;
use crate::process::parent::{self, Watch};
use crate::process::{launch, log};
use crate::user::{self, OsUser};
use crate::{Durability, EmbeddedError, SUPERUSER};

/// How long the children of a killed `initdb` may go on writing into what it left.
const LEFTOVER_TIME_MAX: Duration = Duration::from_secs(10);
/// Killed and not asked to stop: it would tidy up after itself, just when the next start does the same.
const WHEN_PARENT_DIES: Signal = Signal::SIGKILL;

/// Runs `initdb` beside where the cluster is to be, and moves the result there in one step.
pub(crate) fn make(
    home: &DataDir,
    binaries: &Binaries,
    user: Option<&OsUser>,
    durability: Durability,
) -> Result<(), EmbeddedError> {
    remove_leftover(home)?;
    let (unfinished, pgdata) = (home.unfinished(), home.pgdata());
    let door = private_dir::open_door(&unfinished, user, &binaries.postgres())?;
    let mut command = user::command(&binaries.initdb(), user);
    command.arg("-D").arg(&door.path).args(["-U", SUPERUSER, "--auth=trust", "--data-checksums"]);
    command.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    parent::tie(&mut command, WHEN_PARENT_DIES, door.file.into_iter().collect());
    tracing::info!(postgres.data = %pgdata.display(), "making a Postgres cluster");
    let output = run(command).map_err(EmbeddedError::io("run initdb for", &unfinished))?;
    if !output.status.success() {
        // Best effort: the next start removes it too.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(EmbeddedError::Initdb { pgdata, detail: log::last_lines(&output.stderr) });
    }
    fs::rename(&unfinished, &pgdata).map_err(EmbeddedError::io("make", &pgdata))?;
    if durability == Durability::Full {
        // initdb has synced what is inside; these hold the cluster's name and the data directory's.
        for dir in [Some(home.dir()), home.dir().parent()].into_iter().flatten() {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(EmbeddedError::io("sync", dir))?;
        }
    }
    Ok(())
}

fn run(mut command: Command) -> io::Result<Output> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let _watch = Watch::over(child.id(), WHEN_PARENT_DIES)?;
    child.wait_with_output()
}

fn remove_leftover(home: &DataDir) -> Result<(), EmbeddedError> {
    let unfinished = home.unfinished();
    let deadline = Instant::now() + LEFTOVER_TIME_MAX;
    loop {
        match fs::remove_dir_all(&unfinished) {
            Ok(()) => {
                tracing::info!(path = %unfinished.display(), "removed a half-made Postgres cluster");
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // Somebody still writes into it.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {
                std::thread::sleep(launch::POLL_INTERVAL);
            }
            Err(error) => return Err(EmbeddedError::io("remove", &unfinished)(error)),
        }
    }
}
