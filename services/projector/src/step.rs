//! One step: a slice of a log into its records.

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{Projected, StoreError};

use crate::fold_slice::{FoldState, FoldedSlice};
use crate::projector::Projector;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Folded up to here; the log went on to `head` when it was read.
    Folded {
        /// The checkpoint now.
        position: Position,
        /// The head it saw.
        head: Position,
    },
    /// Nothing to fold.
    Idle,
    /// Another projector is at it, or was.
    Busy,
}

/// Why a step failed. Either nothing of it is stored, or all of it is and nobody heard: the next step begins with a look at
/// the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such workspace.
    #[error("there is no workspace {0}")]
    NoWorkspace(WorkspaceId),
}

impl Projector {
    /// Folds the next slice of a workspace's log.
    pub async fn step(&self, workspace: WorkspaceId) -> Result<Progress, StepError> {
        let place = self.place(workspace, None).await?;
        let Some((folded, _)) = self.fold_on(workspace, place).await? else {
            return Ok(Progress::Idle);
        };
        if !self.write(workspace, &folded).await? {
            return Ok(Progress::Busy);
        }
        Ok(Progress::Folded { position: folded.writes.end.position, head: folded.head })
    }

    /// Writes a slice, and reads and folds the next one meanwhile if it is to go on; that one is worth nothing if this one
    /// was not written, since it stands on it.
    pub(crate) async fn write_and_fold_on(
        &self,
        workspace: WorkspaceId,
        folded: &FoldedSlice,
        place: FoldState,
        goes_on: bool,
    ) -> Result<(bool, Result<Option<(FoldedSlice, FoldState)>, StepError>), StoreError> {
        let ahead = async { if goes_on { self.fold_on(workspace, place).await } else { Ok(None) } };
        let (written, ahead) = tokio::join!(self.write(workspace, folded), ahead);
        Ok((written?, ahead))
    }

    /// Writes a slice that was folded, and says so to whoever waits for it; not if another projector is at it, or was.
    pub(crate) async fn write(&self, workspace: WorkspaceId, folded: &FoldedSlice) -> Result<bool, StoreError> {
        match self.store.project(workspace, folded.expected, &folded.writes).await? {
            Projected::Moved => {}
            Projected::Busy | Projected::Overtaken => return Ok(false),
        }
        if !folded.expected.live {
            // Nobody waits for it, and its events were counted when they were folded first.
            return Ok(true);
        }
        self.metrics.step_seconds.observe(folded.began.elapsed().as_secs_f64());
        for ((table, verdict), count) in &folded.counts {
            self.metrics.events_folded.with_label_values(&[table.as_str(), verdict]).inc_by(*count);
        }
        self.wakeups.folded(workspace, folded.writes.end.position);
        Ok(true)
    }
}
