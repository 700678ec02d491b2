//! A worker: one workspace after the other, each for a turn.

use std::time::Duration;

use tidelog_core::ids::WorkspaceId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::projector::Projector;
use crate::scheduler::queue::Reschedule;
use crate::scheduler::shared::Scheduler;
use crate::step::StepError;

/// How long a workspace that another projector holds is left alone: about as long as a step may take.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How long a workspace whose step failed is left alone.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

impl Projector {
    /// Takes scheduler until `stop` says so; the step at hand is finished first.
    pub(crate) async fn worker(&self, scheduler: &Scheduler, mut stop: watch::Receiver<bool>) {
        loop {
            let (workspace, request_id) = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                turn = scheduler.next() => turn,
            };
            let again = match self.turn(workspace, &request_id, scheduler, &stop).await {
                Ok(again) => again,
                Err(error) => {
                    self.metrics.step_failures.inc();
                    tracing::error!(%error, request_id, "a step failed; trying again");
                    match error {
                        // If it ever comes back, the poll finds it.
                        StepError::NoWorkspace(_) => Reschedule::WhenHinted,
                        StepError::Store(_) => Reschedule::At(Instant::now() + FAILED_PAUSE),
                    }
                }
            };
            scheduler.end(workspace, request_id, again);
        }
    }

    /// One step of a workspace, and more as long as nobody else waits: then the next slice is read and folded while the
    /// one before is being written.
    async fn turn(
        &self,
        workspace: WorkspaceId,
        request_id: &str,
        scheduler: &Scheduler,
        stop: &watch::Receiver<bool>,
    ) -> Result<Reschedule, StepError> {
        let place = self.place(workspace, None).await?;
        let mut at_hand = self.fold_on(workspace, place).await?;
        while let Some((folded, place)) = at_hand {
            let has_more = folded.has_more();
            let goes_on = has_more && !scheduler.is_waited_for() && !is_to_stop(stop);
            let (written, ahead) = self.write_and_fold_on(workspace, &folded, place, goes_on).await?;
            if !written {
                return Ok(Reschedule::At(Instant::now() + BUSY_PAUSE));
            }
            let position = folded.writes.end.position;
            tracing::debug!(request_id, log.position = position.0, log.head = folded.head.0, "folded");
            if has_more && (!goes_on || is_to_stop(stop)) {
                return Ok(Reschedule::NextTurn);
            }
            at_hand = ahead?;
        }
        Ok(Reschedule::WhenHinted)
    }
}

/// Whether the loop is to end; nobody left to say so means that too.
fn is_to_stop(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}
