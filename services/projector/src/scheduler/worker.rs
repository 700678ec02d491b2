//! A worker: folds one workspace after the other, a turn each.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::StepError;
use crate::projector::Projector;
use crate::scheduler::queue::{Reschedule, Turn};
use crate::scheduler::shared::Scheduler;
use crate::step::fold_slice::NextFold;

/// Pause for a workspace whose checkpoint another projector holds: about as long as a step may take.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Pause for a workspace whose step failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

impl Projector {
    /// Takes turns until `stop` becomes true or its sender is dropped. The step under way is finished first.
    pub(crate) async fn run_worker(&self, scheduler: &Scheduler, mut stop: watch::Receiver<bool>) {
        loop {
            let turn = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                turn = scheduler.begin_turn() => turn,
            };
            let reschedule = match self.run_turn(&turn, scheduler, &stop).await {
                Ok(reschedule) => reschedule,
                Err(error) => {
                    self.metrics.step_failures.inc();
                    tracing::error!(%error, request_id = turn.request_id, "a projector step failed; trying again");
                    match error {
                        // If the workspace ever comes back, the poll finds it.
                        StepError::NoWorkspace(_) => Reschedule::WhenHinted,
                        StepError::Store(_) | StepError::EarlierForm(_) => {
                            Reschedule::At(Instant::now() + FAILED_PAUSE)
                        }
                    }
                }
            };
            scheduler.end_turn(turn, reschedule);
        }
    }

    /// Does one step of a workspace, and more while no other workspace is waiting. Then the next slice is read and folded
    /// while the one before it is written.
    async fn run_turn(
        &self,
        turn: &Turn,
        scheduler: &Scheduler,
        stop: &watch::Receiver<bool>,
    ) -> Result<Reschedule, StepError> {
        let (workspace, request_id) = (turn.workspace, &turn.request_id);
        let state = self.fold_state(workspace, None).await?;
        let mut fold = self.fold_next(workspace, state).await?;
        while let Some(NextFold { slice, state_after }) = fold {
            let has_more = slice.has_more();
            let fold_next = has_more && !scheduler.has_waiting() && !is_to_stop(stop);
            let step = self.write_and_fold_next(workspace, &slice, state_after, fold_next).await?;
            if !step.is_written {
                return Ok(Reschedule::At(Instant::now() + BUSY_PAUSE));
            }
            let position = slice.writes.end.position;
            tracing::debug!(request_id, log.position = position.0, log.head = slice.head.0, "folded");
            if has_more && (!fold_next || is_to_stop(stop)) {
                return Ok(Reschedule::NextTurn);
            }
            fold = step.next?;
        }
        Ok(Reschedule::WhenHinted)
    }
}

/// Whether the projector is to stop. If the sender is gone, no stop could ever come, so that counts as one.
fn is_to_stop(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}
