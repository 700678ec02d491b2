//! Builds a new generation of a workspace's records beside the live one, and swaps them when it has caught up.
//!
//! FOLD-2: the same code folds into the other table set that folds into the live one, so the rows are the same bytes. A
//! rebuild can be resumed at any point, since an unfinished generation is a checkpoint like any other.

pub(crate) mod earlier_forms;
pub(crate) mod progress;
pub(crate) mod workspace;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::LaggingWorkspace;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::error::RebuildError;
use crate::projector::Projector;
use crate::rebuild::progress::RebuildProgress;
use crate::rebuild::workspace::{RebuiltWorkspace, WorkspaceRebuild};

/// Workspaces rebuilt concurrently; each takes up to three connections.
const WORKSPACES_CONCURRENT_MAX: usize = 2;
/// How often a rebuild checks whether the live projector is behind.
const LAG_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a check, as a multiple of the time it took, if that is longer than the interval. A check reads the head of
/// every log.
const LAG_POLL_PAUSE_FACTOR: u32 = 20;

impl Projector {
    /// Rebuilds the records of workspaces: builds a new generation of each from its log, and swaps it for the live one when
    /// it has caught up. Returns when all are swapped. An unfinished generation of an earlier rebuild is continued. None of
    /// the workspaces may have an older generation that is kept, since it occupies the other table set.
    ///
    /// Up to two workspaces are rebuilt concurrently. While the live projector falls behind, each step of the rebuild is
    /// followed by a pause as long as the step.
    pub async fn rebuild(
        &self,
        workspaces: &[WorkspaceId],
        progress: &Arc<RebuildProgress>,
    ) -> Result<Vec<RebuiltWorkspace>, RebuildError> {
        for workspace in workspaces {
            for generations in self.store.generations(Some(*workspace)).await? {
                progress.total.fetch_add(generations.live.head.0, Ordering::Relaxed);
            }
        }
        let permits = Arc::new(Semaphore::new(WORKSPACES_CONCURRENT_MAX));
        let is_live_behind = Arc::new(AtomicBool::new(false));
        // Dropped, and so ended, when this function returns.
        let mut lag_watch = JoinSet::new();
        lag_watch.spawn(self.clone().watch_live_lag(Arc::clone(&is_live_behind)));
        let mut rebuilds = JoinSet::new();
        for workspace in workspaces.iter().copied() {
            let rebuild = WorkspaceRebuild {
                projector: self.clone(),
                workspace,
                is_live_behind: Arc::clone(&is_live_behind),
                progress: Arc::clone(progress),
            };
            let permits = Arc::clone(&permits);
            rebuilds.spawn(async move {
                // Cannot fail: the semaphore is never closed.
                let _permit = permits.acquire().await;
                rebuild.run().await
            });
        }
        let mut rebuilt = Vec::with_capacity(workspaces.len());
        while let Some(ended) = rebuilds.join_next().await {
            match ended {
                Ok(result) => rebuilt.push(result?),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        rebuilt.sort_by_key(|rebuilt| rebuilt.workspace);
        Ok(rebuilt)
    }

    /// Keeps `is_live_behind` up to date until its task is aborted.
    async fn watch_live_lag(self, is_live_behind: Arc<AtomicBool>) {
        let mut projected_before: HashMap<WorkspaceId, Position> = HashMap::new();
        loop {
            let began = Instant::now();
            if let Ok(lagging) = self.store.lagging().await {
                is_live_behind.store(is_behind(&projected_before, &lagging), Ordering::Relaxed);
                projected_before = lagging.into_iter().map(|lag| (lag.workspace, lag.projected)).collect();
            }
            sleep(LAG_POLL_INTERVAL.max(began.elapsed() * LAG_POLL_PAUSE_FACTOR)).await;
        }
    }
}

/// Whether the live projector has more left to fold than it folded since the last check. If it folded nothing, no live
/// projector is running and there is none to make room for.
fn is_behind(projected_before: &HashMap<WorkspaceId, Position>, lagging: &[LaggingWorkspace]) -> bool {
    let behind: i64 = lagging.iter().map(|lag| lag.head.0 - lag.projected.0).sum();
    let folded_since = |lag: &LaggingWorkspace| Some(lag.projected.0 - projected_before.get(&lag.workspace)?.0);
    let folded: i64 = lagging.iter().filter_map(folded_since).sum();
    folded > 0 && behind > folded
}

#[cfg(test)]
mod tests {
    use tidelog_core::time::UnixMs;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rebuild_makes_room_for_a_projector_that_folds_and_has_more_left_than_it_folded() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let lagging = |projected, head| {
            [LaggingWorkspace {
                workspace,
                head: Position(head),
                projected: Position(projected),
                waiting_since: UnixMs(0),
            }]
        };
        let before = HashMap::from([(workspace, Position(1_000))]);
        assert!(is_behind(&before, &lagging(1_100, 1_201)), "101 left after 100");
        assert!(!is_behind(&before, &lagging(1_100, 1_200)), "as many as it folded");
        assert!(!is_behind(&before, &lagging(1_000, 9_000)), "nobody folds");
        assert!(!is_behind(&HashMap::new(), &lagging(1_100, 9_000)), "it was not behind at the last check");
    }
}
