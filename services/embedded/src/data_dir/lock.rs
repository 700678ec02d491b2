//! The lock on a data directory: one server per directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::EmbeddedError;
use crate::data_dir::pidfile::{self, Status};
use crate::data_dir::{DataDir, socket};

/// How long to wait for an earlier server that is stopping: enough for its last checkpoint.
const PREDECESSOR_STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// How often to try again while waiting.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Locks the directory for this process, until the returned file is dropped or the process dies.
///
/// The lock shows what Postgres' own `postmaster.pid` cannot: whether the parent of a running server still lives. A server
/// without its parent has been told to stop by the kernel, so it is worth waiting for. A server that is ready and has its
/// parent will stay.
///
/// The file holds the process id of its holder, since that is the process which an operator may stop.
pub(crate) fn acquire(data_dir: &DataDir) -> Result<File, EmbeddedError> {
    let path = data_dir.lock();
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = file.map_err(EmbeddedError::io("open", &path))?;
    let deadline = Instant::now() + PREDECESSOR_STOP_TIME_MAX;
    loop {
        let is_locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", &path)(error)),
        };
        let server = pidfile::read_running(&data_dir.pgdata())?;
        if is_locked && server.is_none() {
            sign(&mut file, &path)?;
            pidfile::disown(&data_dir.pgdata())?;
            socket::remove_leftover(data_dir);
            return Ok(file);
        }
        let will_stay = !is_locked && server.as_ref().is_some_and(|server| server.status == Status::Ready);
        if will_stay || Instant::now() >= deadline {
            let holder = match (holder(&mut file), server) {
                (Some(pid), _) if !is_locked => format!("pid {pid}"),
                (_, Some(server)) => format!("a Postgres that is stopping, pid {}", server.pid),
                (_, None) => "a process that is starting it".to_owned(),
            };
            return Err(EmbeddedError::AlreadyRunning { data_dir: data_dir.path().to_owned(), holder });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Writes the id of this process into the file.
fn sign(file: &mut File, path: &Path) -> Result<(), EmbeddedError> {
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write().map_err(EmbeddedError::io("write", path))
}

/// The process id in the file, if it can be read.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}
