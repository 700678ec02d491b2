//! Makes the records of a workspace anew beside the live ones, and swaps them when they have caught up.
//!
//! FOLD-2: the same code folds into the other set of tables that folds into the live one, so the rows are the same bytes.
//! What is made is resumable at any point: a generation that is being made is a checkpoint like any other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{Checkpoint, Generation, Generations, Lagging, StoreError, Swapped, TableSet};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::projector::Projector;
use crate::step::StepError;

/// Workspaces that are made anew at once; each takes up to three connections.
const SIDE_BY_SIDE: usize = 2;
/// How many events a new generation may lack for the swap to be tried: about what a step folds.
const REACH: i64 = 2_000;
/// How often it is looked how far behind the live projector is.
const LOOK: Duration = Duration::from_secs(1);
/// How long a checkpoint that somebody else has is left alone.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// Steps that the rest may take while the live checkpoint is held for the swap.
const REST_STEPS: usize = 4;

/// How far a rebuild is: read by whoever shows it, while it goes on.
#[derive(Debug, Default)]
pub struct RebuildProgress {
    /// Events folded, those of before a resumption too.
    pub folded: AtomicI64,
    /// Events to fold in all, as far as is known.
    pub total: AtomicI64,
    /// Workspaces that are swapped.
    pub swapped: AtomicI64,
}

/// What came of the rebuild of one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Which.
    pub workspace: WorkspaceId,
    /// The generation that is live now.
    pub generation: i64,
    /// The checkpoint at which it was swapped.
    pub position: Position,
    /// The refold whose rules it holds from the start; 0 where each event has its own.
    pub refold: Position,
}

/// Why a rebuild ended.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A step failed. What is made so far stays, and the next rebuild goes on from there.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The generation that was being made was taken away.
    #[error("the generation that was being made of workspace {0} is gone: somebody has dropped it")]
    Gone(WorkspaceId),
    /// The live projector was in the way of the swap for too long.
    #[error("workspace {0} could not be swapped: its log grows faster than it is folded")]
    NoSwap(WorkspaceId),
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

impl Projector {
    /// Makes the records of workspaces anew and swaps each when it has caught up; returns when all are swapped. Where a
    /// generation is being made already it goes on with that. None of them may have an older generation that is kept.
    ///
    /// Some workspaces side by side; while the live projector is a second or more behind, each step is followed by as long a
    /// pause.
    pub async fn rebuild(
        &self,
        workspaces: &[WorkspaceId],
        progress: &Arc<RebuildProgress>,
    ) -> Result<Vec<Rebuilt>, RebuildError> {
        for workspace in workspaces {
            for known in self.store.generations(Some(*workspace)).await? {
                progress.total.fetch_add(known.live.head.0, Ordering::Relaxed);
            }
        }
        let (room, gives_way) = (Arc::new(Semaphore::new(SIDE_BY_SIDE)), Arc::new(AtomicBool::new(false)));
        let mut watching = JoinSet::new();
        watching.spawn(self.clone().watch_the_live(Arc::clone(&gives_way)));
        let mut tasks = JoinSet::new();
        for workspace in workspaces.iter().copied() {
            let building = WorkspaceRebuild {
                projector: self.clone(),
                workspace,
                gives_way: Arc::clone(&gives_way),
                progress: Arc::clone(progress),
            };
            let room = Arc::clone(&room);
            tasks.spawn(async move {
                // Never closed.
                let _room = room.acquire().await;
                building.run().await
            });
        }
        let mut rebuilt = Vec::with_capacity(workspaces.len());
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(done) => rebuilt.push(done?),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        rebuilt.sort_by_key(|done| done.workspace);
        Ok(rebuilt)
    }

    /// Says whether the live projector is behind, for as long as it is let to.
    async fn watch_the_live(self, gives_way: Arc<AtomicBool>) {
        let mut projected_before: HashMap<WorkspaceId, Position> = HashMap::new();
        loop {
            let began = Instant::now();
            if let Ok(lagging) = self.store.lagging().await {
                gives_way.store(is_behind(&projected_before, &lagging), Ordering::Relaxed);
                projected_before = lagging.into_iter().map(|lag| (lag.workspace, lag.projected)).collect();
            }
            // It reads the end of every log.
            sleep(LOOK.max(began.elapsed() * 20)).await;
        }
    }
}

/// Whether the live projector has more to fold than it folded since the last look. Where it folded nothing nobody runs one,
/// and there is nobody to give way to.
fn is_behind(projected_before: &HashMap<WorkspaceId, Position>, lagging: &[Lagging]) -> bool {
    let behind: i64 = lagging.iter().map(|lag| lag.head.0 - lag.projected.0).sum();
    let folded = |lag: &Lagging| Some(lag.projected.0 - projected_before.get(&lag.workspace)?.0);
    let folded: i64 = lagging.iter().filter_map(folded).sum();
    folded > 0 && behind > folded
}

/// The rebuild of one workspace.
struct WorkspaceRebuild {
    projector: Projector,
    workspace: WorkspaceId,
    gives_way: Arc<AtomicBool>,
    progress: Arc<RebuildProgress>,
}

impl WorkspaceRebuild {
    async fn run(&self) -> Result<Rebuilt, RebuildError> {
        let before = self.generations().await?.live.checkpoint.generation;
        let made = match self.make().await {
            // Somebody who was killed with the swap under way has swapped after all.
            Err(RebuildError::Gone(_)) => {
                let live = self.generations().await?.live.checkpoint;
                if live.generation == before { Err(RebuildError::Gone(self.workspace)) } else { Ok(self.rebuilt(live)) }
            }
            made => made,
        };
        self.progress.swapped.fetch_add(i64::from(made.is_ok()), Ordering::Relaxed);
        made
    }

    async fn make(&self) -> Result<Rebuilt, RebuildError> {
        let mut swaps_failed = 0;
        let mut counted = Position::START;
        loop {
            let building = self.prepare().await?;
            self.count(&mut counted, building.position);
            self.fold_near(building.table_set, &mut counted).await?;
            if let Some(done) = self.swap(building.table_set).await? {
                return Ok(done);
            }
            swaps_failed += 1;
            if swaps_failed > 100 {
                return Err(RebuildError::NoSwap(self.workspace));
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    async fn generations(&self) -> Result<Generations, RebuildError> {
        let known = self.projector.store.generations(Some(self.workspace)).await?;
        known.into_iter().next().ok_or(RebuildError::Step(StepError::NoWorkspace(self.workspace)))
    }

    async fn building(&self) -> Result<Generation, RebuildError> {
        self.generations().await?.building().ok_or(RebuildError::Gone(self.workspace))
    }

    /// The generation that is being made, begun if there is none, and begun anew if a newer refold asks for other rules.
    async fn prepare(&self) -> Result<Checkpoint, RebuildError> {
        let store = &self.projector.store;
        let refold = store.newest_refold(self.workspace).await?;
        match self.generations().await?.building() {
            None => store.start_generation(self.workspace, refold).await?,
            // Also at its start: the first step of somebody who was killed may still be under way, and must not find it.
            Some(Generation { checkpoint, .. })
                if checkpoint.refold_position < refold || checkpoint.position == Position::START =>
            {
                store.restart_generation(self.workspace, checkpoint.table_set, refold).await?;
            }
            Some(_) => {}
        }
        let building = self.building().await?.checkpoint;
        if building.position == Position::START {
            // What was left there when somebody was cut short.
            store.clear_set(self.workspace, building.table_set).await?;
        }
        Ok(building)
    }

    /// Folds on until little is missing to where the live one is.
    async fn fold_near(&self, set: TableSet, counted: &mut Position) -> Result<(), RebuildError> {
        let projector = &self.projector;
        loop {
            let place = projector.place(self.workspace, Some(set)).await?;
            let mut at_hand = projector.fold_on(self.workspace, place).await?;
            let mut is_written = true;
            while let Some((folded, place)) = at_hand {
                let (began, goes_on) = (Instant::now(), folded.has_more());
                let written = projector.write_and_fold_on(self.workspace, &folded, place, goes_on).await?;
                is_written = written.0;
                if !is_written {
                    break;
                }
                self.count(counted, folded.writes.end.position);
                at_hand = written.1?;
                if self.gives_way.load(Ordering::Relaxed) {
                    sleep(began.elapsed()).await;
                }
            }
            if !is_written {
                // Gone, or locked for a moment.
                self.building().await?;
                sleep(BUSY_PAUSE).await;
                continue;
            }
            let Generations { live, .. } = self.generations().await?;
            if live.checkpoint.position.0 - self.building().await?.checkpoint.position.0 <= REACH {
                return Ok(());
            }
        }
    }

    /// Swaps, if no newer refold asks for other rules; `None`: not this time.
    async fn swap(&self, set: TableSet) -> Result<Option<Rebuilt>, RebuildError> {
        let store = &self.projector.store;
        if store.newest_refold(self.workspace).await? > self.building().await?.checkpoint.refold_position {
            return Ok(None);
        }
        let mut swapped_at = None;
        let swapped = store.swap_generation(self.workspace, async |live| {
            swapped_at = self.fold_rest(set, live.position).await?;
            Ok::<_, RebuildError>(swapped_at)
        });
        match (swapped.await, swapped_at) {
            (Ok(Swapped::Swapped), Some(next)) => Ok(Some(self.rebuilt(next))),
            (Ok(_), _) => Ok(None),
            // Whoever has the live checkpoint had it for too long, or the rest took longer than a transaction may idle.
            (Err(RebuildError::Step(StepError::Store(StoreError::Locked(_) | StoreError::Unavailable(_)))), _) => {
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Folds the short rest up to where the live checkpoint stands, which nobody moves meanwhile; `None` if it is not short.
    async fn fold_rest(&self, set: TableSet, live: Position) -> Result<Option<Checkpoint>, RebuildError> {
        let projector = &self.projector;
        for _ in 0..=REST_STEPS {
            let place = projector.place(self.workspace, Some(set)).await?;
            let checkpoint = place.checkpoint;
            if checkpoint.position >= live {
                return Ok(Some(checkpoint));
            }
            if let Some((folded, _)) = projector.fold_on(self.workspace, place).await? {
                projector.write(self.workspace, &folded).await?;
            }
        }
        Ok(None)
    }

    fn rebuilt(&self, swapped: Checkpoint) -> Rebuilt {
        let Checkpoint { generation, position, refold_position: refold, .. } = swapped;
        Rebuilt { workspace: self.workspace, generation, position, refold }
    }

    fn count(&self, counted: &mut Position, position: Position) {
        self.progress.folded.fetch_add(position.0 - counted.0, Ordering::Relaxed);
        *counted = position;
    }
}

#[cfg(test)]
mod tests {
    use tidelog_core::time::UnixMs;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rebuild_gives_way_to_a_projector_that_folds_and_has_more_to_fold_than_it_did() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let lagging = |projected, head| {
            [Lagging { workspace, head: Position(head), projected: Position(projected), waiting_since: UnixMs(0) }]
        };
        let before = HashMap::from([(workspace, Position(1_000))]);
        assert!(is_behind(&before, &lagging(1_100, 1_201)), "101 to go after 100");
        assert!(!is_behind(&before, &lagging(1_100, 1_200)), "as many as it folded");
        assert!(!is_behind(&before, &lagging(1_000, 9_000)), "nobody folds");
        assert!(!is_behind(&HashMap::new(), &lagging(1_100, 9_000)), "it was not seen before");
    }
}
