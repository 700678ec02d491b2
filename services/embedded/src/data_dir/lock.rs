//! One server per data directory: keeps others out, and waits for one that is just leaving.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::EmbeddedError;
use crate::data_dir::DataDir;
use crate::data_dir::pidfile::{self, Status};
use crate::process::launch;

/// How long a server before us may take to leave: enough for the checkpoint at its end.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes the directory for this process, until the file is dropped or the process dies.
///
/// The lock shows what Postgres' own file can't: whether the server's parent lives. A running server without one has been
/// told to stop by the kernel, so it is worth waiting for; one that is ready and has a parent is not.
pub(crate) fn take(home: &DataDir) -> Result<File, EmbeddedError> {
    let path = home.lock();
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(EmbeddedError::io("open", &path))?;
    let deadline = Instant::now() + LEAVING_TIME_MAX;
    loop {
        let taken = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", &path)(error)),
        };
        let server = pidfile::read_running(&home.pgdata())?;
        if taken && server.is_none() {
            return Ok(file);
        }
        let stays = !taken && server.as_ref().is_some_and(|server| server.status == Status::Ready);
        if stays || Instant::now() >= deadline {
            let holder = server
                .map_or_else(|| "its Postgres not started yet".to_owned(), |server| format!("pid {}", server.pid));
            return Err(EmbeddedError::AlreadyRunning { data_dir: home.dir().to_owned(), holder });
        }
        std::thread::sleep(launch::POLL_INTERVAL);
    }
}
