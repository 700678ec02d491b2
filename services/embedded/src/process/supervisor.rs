//! The thread that owns the server process for as long as it runs.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::EmbeddedError;
use crate::data_dir::socket;
use crate::process::launch::{LaunchConfig, ServerProcess};

/// A server and the thread that owns it. Stops the server on drop.
///
/// The thread is needed because Linux reports a parent's death to a child when the *thread* that spawned the child ends: a
/// server started on a thread of a pool would stop when the pool ends that thread. Also, since no other thread reaps the
/// process, a signal never goes to an id that another process has taken over.
#[derive(Debug)]
pub(crate) struct Supervisor {
    requests: Sender<Request>,
    /// Never changes, and closes when the thread ends.
    thread_ended: watch::Receiver<()>,
    thread: Option<JoinHandle<Result<(), EmbeddedError>>>,
}

/// A request to the thread.
#[derive(Debug)]
enum Request {
    /// Check whether the server has ended, since some child process has.
    CheckEnded,
    /// Stop the server.
    Stop,
}

impl Supervisor {
    /// Starts the server, and waits until it is ready. Also returns its process id.
    pub(crate) fn start(launch: LaunchConfig) -> Result<(Supervisor, u32), EmbeddedError> {
        let (ready, wait_ready) = mpsc::channel();
        let (requests, received) = mpsc::channel();
        let (ended, thread_ended) = watch::channel(());
        let data_dir = launch.data_dir.path().to_owned();
        let thread = thread::Builder::new().name("embedded-postgres".to_owned());
        let thread = thread.spawn(move || {
            // Dropped last, also by a panic.
            let _ended = ended;
            run_server(&launch, &ready, &received)
        });
        let thread = thread.map_err(EmbeddedError::io("start a thread for", &data_dir))?;
        let mut supervisor = Supervisor { requests, thread_ended, thread: Some(thread) };
        match wait_ready.recv() {
            Ok(pid) => Ok((supervisor, pid)),
            // The thread has ended, and its result says why.
            Err(mpsc::RecvError) => Err(supervisor.finish().err().unwrap_or_else(thread_panicked)),
        }
    }

    /// Stops the server, and waits until it has stopped.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        self.finish()
    }

    /// Resolves when the server has ended, for whatever reason; [`Supervisor::stop`] then returns why.
    ///
    /// Nothing is polled: the kernel reports the end of a child process by SIGCHLD. The thread then checks which child it
    /// was, since it alone may reap the server.
    pub(crate) fn wait_for_end(&self) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let mut children = signal(SignalKind::child())?;
        let (requests, mut thread_ended) = (self.requests.clone(), self.thread_ended.clone());
        Ok(async move {
            // The first check is for a server that had ended before this listened for the signal.
            while requests.send(Request::CheckEnded).is_ok() {
                tokio::select! {
                    _ = thread_ended.changed() => return,
                    _ = children.recv() => {}
                }
            }
        })
    }

    fn finish(&mut self) -> Result<(), EmbeddedError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // If the thread receives no more, it has ended, and its result says why.
        let _ = self.requests.send(Request::Stop);
        thread.join().unwrap_or_else(|_| Err(thread_panicked()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the embedded Postgres did not stop in order");
        }
    }
}

/// What the thread does: starts the server, sends its process id to `ready`, and returns when the server has ended.
fn run_server(launch: &LaunchConfig, ready: &Sender<u32>, requests: &Receiver<Request>) -> Result<(), EmbeddedError> {
    let mut server = launch.spawn()?;
    if let Err(error) = server.wait_ready(&launch.data_dir) {
        // The first error is the one to return.
        let _ = server.stop();
        return Err(error);
    }
    let pid = server.pid();
    tracing::info!(postgres.pid = pid, postgres.data = %launch.data_dir.pgdata().display(), "embedded Postgres is ready");
    // If the receiver is gone, so is the sender of requests, and the next line stops the server.
    let _ = ready.send(pid);
    let outcome = serve_requests(server, requests);
    socket::remove_temporary_dir(&launch.data_dir);
    tracing::info!(postgres.pid = pid, "embedded Postgres has stopped");
    outcome
}

/// Runs until the server is asked to stop or has ended. A server that ends without being asked has failed, even if its
/// exit status reports success.
fn serve_requests(mut server: ServerProcess, requests: &Receiver<Request>) -> Result<(), EmbeddedError> {
    while let Ok(Request::CheckEnded) = requests.recv() {
        if let Some(status) = server.exit_status()? {
            return Err(server.exited(status));
        }
    }
    server.stop()
}

fn thread_panicked() -> EmbeddedError {
    let cause = io::Error::other("its thread panicked");
    EmbeddedError::Io { action: "supervise the server of", path: "the data directory".into(), cause }
}
