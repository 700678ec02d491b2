//! One step: folds a slice of a log and writes what it changes in one transaction.

pub(crate) mod alias_cache;
pub(crate) mod fold_slice;
pub(crate) mod fold_state;
mod load_records;
mod touched_records;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{StepOutcome, StoreError};

use crate::error::StepError;
use crate::projector::Projector;
use crate::step::fold_slice::{FoldedSlice, NextFold};
use crate::step::fold_state::FoldState;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It moved the checkpoint.
    Folded {
        /// The new checkpoint.
        position: Position,
        /// The head of the log, as far as the step saw it.
        head: Position,
    },
    /// There was nothing to fold.
    Idle,
    /// Nothing was written: another projector holds the checkpoint, or has moved it since this step read it.
    Busy,
}

/// A slice's transaction, and the fold of the slice after it, which ran concurrently.
pub(crate) struct WriteAndFold {
    /// Whether the transaction was committed. If not, `next` starts from a checkpoint that was never written.
    pub(crate) is_written: bool,
    /// The fold of the next slice: `None` if there is none or it was not wanted.
    pub(crate) next: Result<Option<NextFold>, StepError>,
}

impl Projector {
    /// Folds the next slice of a workspace's log.
    pub async fn step(&self, workspace: WorkspaceId) -> Result<Progress, StepError> {
        let state = self.fold_state(workspace, None).await?;
        let Some(NextFold { slice, .. }) = self.fold_next(workspace, state).await? else {
            return Ok(Progress::Idle);
        };
        if !self.write(workspace, &slice).await? {
            return Ok(Progress::Busy);
        }
        Ok(Progress::Folded { position: slice.writes.end.position, head: slice.head })
    }

    /// Writes a folded slice. If `fold_next`, meanwhile reads and folds the slice after it, from the state that this one
    /// leaves behind.
    pub(crate) async fn write_and_fold_next(
        &self,
        workspace: WorkspaceId,
        slice: &FoldedSlice,
        state_after: FoldState,
        fold_next: bool,
    ) -> Result<WriteAndFold, StoreError> {
        let next = async { if fold_next { self.fold_next(workspace, state_after).await } else { Ok(None) } };
        let (is_written, next) = tokio::join!(self.write(workspace, slice), next);
        Ok(WriteAndFold { is_written: is_written?, next })
    }

    /// Writes a folded slice and wakes those who wait for it. Returns false, with nothing written, if another projector
    /// holds the checkpoint or has moved it.
    pub(crate) async fn write(&self, workspace: WorkspaceId, slice: &FoldedSlice) -> Result<bool, StoreError> {
        match self.store.write_step(workspace, slice.expected, &slice.writes).await? {
            StepOutcome::Committed => {}
            StepOutcome::Busy | StepOutcome::Overtaken => return Ok(false),
        }
        if !slice.expected.live {
            // A rebuild: nobody waits for it, and its events were counted when they were first folded.
            return Ok(true);
        }
        self.metrics.step_seconds.observe(slice.began.elapsed().as_secs_f64());
        for ((table, verdict), count) in &slice.event_counts {
            self.metrics.events_folded.with_label_values(&[table.as_str(), verdict]).inc_by(*count);
        }
        self.wakeups.on_folded(workspace, slice.writes.end.position);
        Ok(true)
    }
}
