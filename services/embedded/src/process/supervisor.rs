//! The thread that owns the server process for as long as it runs.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::process::launch::{Launch, Server};
use crate::{EmbeddedError, socket};

/// A server and its thread; stops the server on drop.
///
/// The thread is needed because Linux tells a child of its parent's death when the *thread* that spawned it ends: a server
/// started on a thread of a pool would stop when the pool lets that thread go. It also is the only one to touch the process,
/// so a signal never goes to an id that has become another's.
#[derive(Debug)]
pub(crate) struct Supervisor {
    words: Sender<Word>,
    /// Never changes, and closes when the thread ends.
    thread_ended: watch::Receiver<()>,
    thread: Option<JoinHandle<Result<(), EmbeddedError>>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Word {
    /// Some child process has ended: see whether it was the server.
    Look,
    /// Stop the server.
    Stop,
}

impl Supervisor {
    /// Starts the server and waits until it is ready; gives its process id too.
    pub(crate) fn start(launch: Launch) -> Result<(Supervisor, u32), EmbeddedError> {
        let (started, wait_started) = mpsc::channel();
        let (words, heard) = mpsc::channel();
        let (ended, thread_ended) = watch::channel(());
        let dir = launch.home.dir().to_owned();
        let thread = thread::Builder::new().name("embedded-postgres".to_owned());
        let thread = thread.spawn(move || {
            // Dropped when all else is done, by a panic too.
            let _ended = ended;
            keep(&launch, &started, &heard)
        });
        let thread = thread.map_err(EmbeddedError::io("start a thread for", &dir))?;
        let mut keeper = Supervisor { words, thread_ended, thread: Some(thread) };
        match wait_started.recv() {
            Ok(pid) => Ok((keeper, pid)),
            // It has ended, and its result says why.
            Err(mpsc::RecvError) => Err(keeper.finish().err().unwrap_or_else(thread_panicked)),
        }
    }

    /// Stops the server and waits until it has stopped.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        self.finish()
    }

    /// Resolves when the server is gone, whoever ended it; why, [`Supervisor::stop`] says.
    ///
    /// The kernel tells of a child's end by SIGCHLD, so nothing is polled; the thread then looks which child it was, since
    /// it alone may reap the server.
    pub(crate) fn wait_for_end(&self) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let mut children = signal(SignalKind::child())?;
        let (words, mut thread_ended) = (self.words.clone(), self.thread_ended.clone());
        Ok(async move {
            // The first look is for a server that was gone before the signal was listened for.
            while words.send(Word::Look).is_ok() {
                tokio::select! {
                    _ = thread_ended.changed() => return,
                    _ = children.recv() => {}
                }
            }
        })
    }

    fn finish(&mut self) -> Result<(), EmbeddedError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // A thread that listens no more has ended, and its result says why.
        let _ = self.words.send(Word::Stop);
        thread.join().unwrap_or_else(|_| Err(thread_panicked()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the embedded Postgres did not stop as it should");
        }
    }
}

fn keep(launch: &Launch, started: &Sender<u32>, heard: &Receiver<Word>) -> Result<(), EmbeddedError> {
    let mut server = launch.spawn()?;
    if let Err(error) = server.wait_ready(&launch.home) {
        // The first error is the one to tell.
        let _ = server.stop();
        return Err(error);
    }
    let pid = server.pid();
    tracing::info!(postgres.pid = pid, postgres.data = %launch.home.pgdata().display(), "embedded Postgres is ready");
    // If nobody listens any more, nobody can say anything either, and the next line stops it.
    let _ = started.send(pid);
    let outcome = stop_when_told(server, heard);
    socket::discard_temporary(&launch.home);
    tracing::info!(postgres.pid = pid, "embedded Postgres has stopped");
    outcome
}

/// A server that ended before it was told to has failed, even if it says that all was well.
fn stop_when_told(mut server: Server, heard: &Receiver<Word>) -> Result<(), EmbeddedError> {
    while let Ok(Word::Look) = heard.recv() {
        if let Some(status) = server.ended()? {
            return Err(server.exited(status));
        }
    }
    server.stop()
}

fn thread_panicked() -> EmbeddedError {
    let cause = io::Error::other("its thread panicked");
    EmbeddedError::Io { action: "keep the server of", path: "the data directory".into(), cause }
}
