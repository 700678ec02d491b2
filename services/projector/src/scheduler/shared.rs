//! The queue as the workers share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tidelog_core::ids::WorkspaceId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::scheduler::queue::{FairQueue, Reschedule};

/// Hands out scheduler.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    queue: Mutex<FairQueue>,
    changed: Notify,
}

impl Scheduler {
    /// Adds workspaces that may have something to fold, each with the request that made it grow.
    pub(crate) fn add(&self, workspaces: impl IntoIterator<Item = (WorkspaceId, String)>) {
        let mut queue = self.lock();
        workspaces.into_iter().for_each(|(workspace, request_id)| queue.add(workspace, request_id));
        drop(queue);
        self.changed.notify_waiters();
    }

    /// Waits for a turn, and takes it.
    pub(crate) async fn next(&self) -> (WorkspaceId, String) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let (turn, next_at) = {
                let (mut queue, now) = (self.lock(), Instant::now());
                (queue.next(now), queue.next_at(now))
            };
            match (turn, next_at) {
                (Some(turn), _) => return turn,
                (None, None) => changed.await,
                (None, Some(at)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// Ends a turn.
    pub(crate) fn end(&self, workspace: WorkspaceId, request_id: String, again: Reschedule) {
        self.lock().end(workspace, request_id, again);
        self.changed.notify_waiters();
    }

    /// Whether a workspace waits for its turn.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.lock().is_waited_for(Instant::now())
    }

    /// The queue is whole between any two statements, so a panic elsewhere leaves it usable.
    fn lock(&self) -> MutexGuard<'_, FairQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
