//! The thread that owns the server process for as long as it runs.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::launch::Launch;
use super::{EmbeddedError, socket};

/// A server and its thread; stops the server on drop.
///
/// The thread is needed because Linux tells a child of its parent's death when the *thread* that spawned it ends: a server
/// started on a thread of a pool would stop when the pool lets that thread go. It also is the only one to touch the process,
/// so a signal never goes to an id that has become another's.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Never sent on: dropping it is the word to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), EmbeddedError>>>,
}

impl Keeper {
    /// Starts the server and waits until it is ready; gives its process id too.
    pub(super) fn start(launch: Launch) -> Result<(Keeper, u32), EmbeddedError> {
        let (started, wait_started) = mpsc::channel();
        let (stop, wait_stop) = mpsc::channel();
        let dir = launch.home.dir().to_owned();
        let thread = thread::Builder::new().name("embedded-postgres".to_owned());
        let thread = thread.spawn(move || keep(&launch, &started, &wait_stop));
        let thread = thread.map_err(EmbeddedError::io("start a thread for", &dir))?;
        let mut keeper = Keeper { stop: Some(stop), thread: Some(thread) };
        match wait_started.recv() {
            Ok(pid) => Ok((keeper, pid)),
            // It has ended, and its result says why.
            Err(mpsc::RecvError) => Err(keeper.finish().err().unwrap_or_else(thread_panicked)),
        }
    }

    /// Stops the server and waits until it has stopped.
    pub(super) fn stop(mut self) -> Result<(), EmbeddedError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), EmbeddedError> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(thread_panicked()))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the embedded Postgres did not stop as it should");
        }
    }
}

fn keep(launch: &Launch, started: &Sender<u32>, wait_stop: &Receiver<()>) -> Result<(), EmbeddedError> {
    let mut server = launch.spawn()?;
    if let Err(error) = server.wait_ready(&launch.home) {
        // The first error is the one to tell.
        let _ = server.stop();
        return Err(error);
    }
    let pid = server.pid();
    tracing::info!(postgres.pid = pid, postgres.data = %launch.home.pgdata().display(), "embedded Postgres is ready");
    // If nobody listens any more, the next line returns at once.
    let _ = started.send(pid);
    let _ = wait_stop.recv();
    let outcome = server.stop();
    socket::discard_temporary(&launch.home);
    tracing::info!(postgres.pid = pid, "embedded Postgres has stopped");
    outcome
}

fn thread_panicked() -> EmbeddedError {
    let cause = std::io::Error::other("its thread panicked");
    EmbeddedError::Io { action: "keep the server of", path: "the data directory".into(), cause }
}
