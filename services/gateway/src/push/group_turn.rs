//! The turn of a group, from when it is written to its outcomes.

use std::collections::HashSet;

use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{Appended, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::push::commit_pace::CommitSample;
use crate::push::group::{PendingPush, Reply};

/// Outcomes of pushes, each with the channel to its request.
pub(super) type Outcomes = Vec<(PendingPush, Reply, Result<Appended, StoreError>)>;

/// A group that is no longer under way.
pub(super) struct FinishedGroup {
    /// The workspaces of its pushes.
    pub(super) workspaces: HashSet<WorkspaceId>,
    /// The outcomes that are not sent yet.
    pub(super) outcomes: Outcomes,
    /// How long its append took, if that was measured.
    pub(super) sample: Option<CommitSample>,
}

/// A group's turn to be written by Postgres. It ends when the rows are written, if the group is measured, so that the next
/// group is written while this one waits for its commit. Otherwise it ends with the append.
pub(super) struct WritingTurn {
    permit: Option<OwnedSemaphorePermit>,
    /// Whether its two parts are measured.
    pub(super) is_measured: bool,
    begun_at: Instant,
    written_at: Option<Instant>,
}

impl WritingTurn {
    /// Begins the turn that a permit stands for.
    pub(super) fn begin(permit: OwnedSemaphorePermit, is_measured: bool) -> Self {
        Self { permit: Some(permit), is_measured, begun_at: Instant::now(), written_at: None }
    }

    /// The rows are written, and the next group may be.
    pub(super) fn end(&mut self) {
        self.permit = None;
        self.written_at = Some(Instant::now());
    }

    /// How long the two parts of the append took until now.
    pub(super) fn sample(&self) -> Option<CommitSample> {
        let written_at = self.written_at?;
        Some(CommitSample { executed: written_at - self.begun_at, committed: written_at.elapsed() })
    }
}
