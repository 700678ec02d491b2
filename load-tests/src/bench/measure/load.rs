//! A load: clients that run until they are told to stop, and the count of what they have done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

/// The clients of a load: tasks or threads that run until [`LoadControl::is_stopped`].
pub(crate) type Clients = JoinSet<Result<()>>;

/// What the clients of a load share: the count of finished operations, and the flag that stops them.
#[derive(Debug, Default)]
pub(crate) struct LoadControl {
    done: AtomicU64,
    stopped: AtomicBool,
}

impl LoadControl {
    /// Counts operations that are finished and durable.
    pub(crate) fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    /// The operations counted so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Tells the clients to stop.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the clients should stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Stops clients and waits until they have ended. Returns the first error of one.
pub(crate) async fn stop_clients(control: &LoadControl, mut clients: Clients) -> Result<()> {
    control.stop();
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the load panicked")??;
    }
    Ok(())
}
