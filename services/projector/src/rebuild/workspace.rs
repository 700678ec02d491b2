//! The rebuild of one workspace: build the new generation, catch up with the live one, swap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{Checkpoint, Generation, Generations, StoreError, SwapOutcome, TableSet};
use tokio::time::{Instant, sleep};

use crate::error::{RebuildError, StepError};
use crate::projector::Projector;
use crate::rebuild::progress::RebuildProgress;
use crate::step::fold_slice::NextFold;

/// Events that the new generation may lack when a swap is tried: about one step.
const SWAP_LAG_EVENTS_MAX: i64 = 2_000;
/// Steps that the swap may do to fold the rest while it holds the live checkpoint.
const SWAP_STEPS_MAX: usize = 4;
/// Swaps that may fail before the rebuild gives up.
const SWAP_FAILURES_MAX: usize = 100;
/// Pause while another process holds the checkpoint.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The result of rebuilding one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuiltWorkspace {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The new live generation.
    pub generation: i64,
    /// The checkpoint at which it went live.
    pub position: Position,
    /// Position of the `_catalog` event whose rules hold from position 1 on; 0 if each event was judged by the catalog in
    /// force at its own position.
    pub refold: Position,
}

/// The rebuild of one workspace.
pub(crate) struct WorkspaceRebuild {
    pub(crate) projector: Projector,
    pub(crate) workspace: WorkspaceId,
    /// Set while the live projector falls behind; the rebuild then pauses after each step.
    pub(crate) is_live_behind: Arc<AtomicBool>,
    pub(crate) progress: Arc<RebuildProgress>,
}

impl WorkspaceRebuild {
    /// Builds a new generation and swaps it in.
    pub(crate) async fn run(&self) -> Result<RebuiltWorkspace, RebuildError> {
        let generation_before = self.generations().await?.live.checkpoint.generation;
        let result = match self.build_and_swap().await {
            // It is gone because it is live: the swap of an earlier rebuild, killed while it swapped, has succeeded since.
            Err(RebuildError::Gone(_)) => {
                let live = self.generations().await?.live.checkpoint;
                if live.generation == generation_before {
                    Err(RebuildError::Gone(self.workspace))
                } else {
                    Ok(self.rebuilt(live))
                }
            }
            result => result,
        };
        self.progress.swapped.fetch_add(i64::from(result.is_ok()), Ordering::Relaxed);
        result
    }

    async fn build_and_swap(&self) -> Result<RebuiltWorkspace, RebuildError> {
        let mut swap_failures = 0;
        let mut counted_to = Position::START;
        loop {
            let building = self.prepare().await?;
            self.count(&mut counted_to, building.position);
            self.catch_up(building.table_set, &mut counted_to).await?;
            if let Some(rebuilt) = self.swap(building.table_set).await? {
                return Ok(rebuilt);
            }
            swap_failures += 1;
            if swap_failures > SWAP_FAILURES_MAX {
                return Err(RebuildError::NoSwap(self.workspace));
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    async fn generations(&self) -> Result<Generations, RebuildError> {
        let generations = self.projector.store.generations(Some(self.workspace)).await?;
        generations.into_iter().next().ok_or(RebuildError::Step(StepError::NoWorkspace(self.workspace)))
    }

    async fn building(&self) -> Result<Generation, RebuildError> {
        self.generations().await?.building().ok_or(RebuildError::Gone(self.workspace))
    }

    /// The checkpoint of the unfinished generation. Starts one if there is none, and restarts it if a newer refold asks
    /// for other rules or an earlier version has begun it.
    async fn prepare(&self) -> Result<Checkpoint, RebuildError> {
        let store = &self.projector.store;
        let refold = store.newest_refold(self.workspace).await?;
        match self.generations().await?.building() {
            None => store.start_generation(self.workspace, refold).await?,
            // Restarted at its start too: the first step of a killed rebuild may still be running in the database, and
            // must not find the checkpoint that it expects.
            Some(Generation { checkpoint, .. })
                if checkpoint.refold_position < refold
                    || checkpoint.position == Position::START
                    || !checkpoint.is_foldable() =>
            {
                store.restart_generation(self.workspace, checkpoint.table_set, refold).await?;
            }
            Some(_) => {}
        }
        let building = self.building().await?.checkpoint;
        if building.position == Position::START {
            // Rows that a rebuild left when it was cut short.
            store.clear_set(self.workspace, building.table_set).await?;
        }
        Ok(building)
    }

    /// Folds until the new generation lacks at most `SWAP_LAG_EVENTS_MAX` events of the live one.
    async fn catch_up(&self, table_set: TableSet, counted_to: &mut Position) -> Result<(), RebuildError> {
        loop {
            if !self.fold_to_head(table_set, counted_to).await? {
                // The generation is gone, which is an error, or its checkpoint was locked for a moment.
                self.building().await?;
                sleep(BUSY_PAUSE).await;
                continue;
            }
            let live = self.generations().await?.live.checkpoint;
            if live.position.0 - self.building().await?.checkpoint.position.0 <= SWAP_LAG_EVENTS_MAX {
                return Ok(());
            }
        }
    }

    /// Folds slice after slice to the head of the log. Returns false if one could not be written.
    async fn fold_to_head(&self, table_set: TableSet, counted_to: &mut Position) -> Result<bool, RebuildError> {
        let projector = &self.projector;
        let state = projector.fold_state(self.workspace, Some(table_set)).await?;
        let mut fold = projector.fold_next(self.workspace, state).await?;
        while let Some(NextFold { slice, state_after }) = fold {
            let (began, has_more) = (Instant::now(), slice.has_more());
            let step = projector.write_and_fold_next(self.workspace, &slice, state_after, has_more).await?;
            if !step.is_written {
                return Ok(false);
            }
            self.count(counted_to, slice.writes.end.position);
            fold = step.next?;
            if self.is_live_behind.load(Ordering::Relaxed) {
                sleep(began.elapsed()).await;
            }
        }
        Ok(true)
    }

    /// Swaps the new generation for the live one. `None` if it has to be tried again: a newer refold asks for other rules,
    /// or the new generation does not catch up while the live checkpoint is locked.
    async fn swap(&self, table_set: TableSet) -> Result<Option<RebuiltWorkspace>, RebuildError> {
        let store = &self.projector.store;
        if store.newest_refold(self.workspace).await? > self.building().await?.checkpoint.refold_position {
            return Ok(None);
        }
        let mut caught_up = None;
        let swap = store.swap_generation(self.workspace, async |live| {
            caught_up = self.fold_rest(table_set, live.position).await?;
            Ok::<_, RebuildError>(caught_up)
        });
        match (swap.await, caught_up) {
            (Ok(SwapOutcome::Swapped), Some(checkpoint)) => Ok(Some(self.rebuilt(checkpoint))),
            (Ok(_), _) => Ok(None),
            // The live checkpoint was locked for too long, or the rest took longer than a transaction may idle.
            (Err(RebuildError::Step(StepError::Store(StoreError::Locked(_) | StoreError::Unavailable(_)))), _) => {
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Folds the rest up to the live checkpoint, which is locked meanwhile and so does not move. Returns the checkpoint
    /// reached, or `None` if that takes more than `SWAP_STEPS_MAX` steps.
    async fn fold_rest(&self, table_set: TableSet, live: Position) -> Result<Option<Checkpoint>, RebuildError> {
        let projector = &self.projector;
        for _ in 0..=SWAP_STEPS_MAX {
            let state = projector.fold_state(self.workspace, Some(table_set)).await?;
            let checkpoint = state.checkpoint;
            if checkpoint.position >= live {
                return Ok(Some(checkpoint));
            }
            if let Some(NextFold { slice, .. }) = projector.fold_next(self.workspace, state).await? {
                projector.write(self.workspace, &slice).await?;
            }
        }
        Ok(None)
    }

    fn rebuilt(&self, live: Checkpoint) -> RebuiltWorkspace {
        let Checkpoint { generation, position, refold_position: refold, .. } = live;
        RebuiltWorkspace { workspace: self.workspace, generation, position, refold }
    }

    /// Adds the events from `counted_to` to `position` to the progress; fewer if the generation was restarted.
    fn count(&self, counted_to: &mut Position, position: Position) {
        self.progress.folded.fetch_add(position.0 - counted_to.0, Ordering::Relaxed);
        *counted_to = position;
    }
}
