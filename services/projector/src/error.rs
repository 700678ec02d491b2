//! Why a step or a rebuild fails.

use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::StoreError;

/// Why a step failed. Either nothing of the step is stored, or all of it is and only the confirmation was lost. Both are
/// safe, since the next step starts by reading the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The database failed, or holds something that cannot be folded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workspace does not exist.
    #[error("there is no workspace {0}")]
    NoWorkspace(WorkspaceId),
    /// An earlier version has folded the records by other rules, and they are not rebuilt yet.
    #[error("an earlier version has folded the records of workspace {0}: a running server rebuilds them by itself")]
    EarlierForm(WorkspaceId),
}

/// Why a rebuild failed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A step failed. What is built so far stays, and the next rebuild continues from there.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Somebody dropped the generation while it was being built.
    #[error("the unfinished generation of workspace {0} was dropped during the rebuild")]
    Gone(WorkspaceId),
    /// The live projector was ahead of the new generation at every attempt to swap.
    #[error("the new generation of workspace {0} could not be swapped in: its log grows faster than it is folded")]
    NoSwap(WorkspaceId),
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}
