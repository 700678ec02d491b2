//! The fair queue behind a lock, as the workers share it.

use std::sync::Mutex;

use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::LockExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::scheduler::queue::{FairQueue, Reschedule, Turn};

/// Hands out turns to workers, and lets them wait for one.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    queue: Mutex<FairQueue>,
    changed: Notify,
}

impl Scheduler {
    /// Adds workspaces that may have events to fold, each with the request that made its log grow (empty if not known).
    pub(crate) fn add(&self, workspaces: impl IntoIterator<Item = (WorkspaceId, String)>) {
        let mut queue = self.queue.lock_unpoisoned();
        workspaces.into_iter().for_each(|(workspace, request_id)| queue.add(workspace, request_id));
        drop(queue);
        self.changed.notify_waiters();
    }

    /// Waits until a turn can begin, and begins it.
    pub(crate) async fn begin_turn(&self) -> Turn {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let (turn, next_turn_at) = {
                let (mut queue, now) = (self.queue.lock_unpoisoned(), Instant::now());
                (queue.begin_turn(now), queue.next_turn_at(now))
            };
            match (turn, next_turn_at) {
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
    pub(crate) fn end_turn(&self, turn: Turn, reschedule: Reschedule) {
        self.queue.lock_unpoisoned().end_turn(turn, reschedule);
        self.changed.notify_waiters();
    }

    /// Whether a workspace is waiting for its turn.
    pub(crate) fn has_waiting(&self) -> bool {
        self.queue.lock_unpoisoned().has_waiting(Instant::now())
    }
}
