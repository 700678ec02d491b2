//! Which generation of a workspace is live: swapping in the next one, and rolling back to the kept one.

use tidelog_core::ids::WorkspaceId;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::{Checkpoint, checkpoint_of};

/// The result of swapping a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The next generation is live.
    Swapped,
    /// The next generation has not caught up, or is gone. Nothing has changed.
    NotReady,
}

impl Store {
    /// Makes the generation that is being built the live one.
    ///
    /// The live checkpoint is locked meanwhile, so that no projector moves it. `fold_rest` gets it and folds, on other
    /// connections, what the next generation still lacks up to there; it returns the checkpoint that the next
    /// generation has then. It has to take less than the 10 seconds that a transaction may be idle.
    pub async fn swap_generation<E: From<StoreError>>(
        &self,
        workspace: WorkspaceId,
        fold_rest: impl AsyncFnOnce(Checkpoint) -> Result<Option<Checkpoint>, E>,
    ) -> Result<SwapOutcome, E> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = include_str!("../../../sql/records/generations/swap/lock_live.sql");
        let live = transaction.query_opt(lock, &[&workspace.0]).await.map_err(StoreError::from)?;
        let Some(live) = live.as_ref().map(checkpoint_of).transpose()? else { return Ok(SwapOutcome::NotReady) };
        let Some(next) = fold_rest(live).await? else { return Ok(SwapOutcome::NotReady) };
        if next.position < live.position || next.generation <= live.generation {
            return Ok(SwapOutcome::NotReady);
        }
        let flip = include_str!("../../../sql/records/generations/swap/flip.sql");
        let flipped = transaction.execute(flip, &[&workspace.0]).await.map_err(StoreError::from)?;
        if flipped != 2 {
            return Ok(SwapOutcome::NotReady);
        }
        commit(transaction).await?;
        Ok(SwapOutcome::Swapped)
    }

    /// Makes the kept generation live again, of one workspace or of all that have one (`None`). Returns the workspaces
    /// that were rolled back, with the numbers of their live generations.
    pub async fn roll_back(&self, workspace: Option<WorkspaceId>) -> Result<Vec<(WorkspaceId, i64)>, StoreError> {
        let sql = include_str!("../../../sql/records/generations/swap/roll_back.sql");
        let rows = self.query(sql, &[&workspace.map(|id| id.0)]).await?;
        let now_live = rows.iter().filter(|row| row.try_get("live").unwrap_or(false));
        now_live.map(|row| Ok((WorkspaceId(row.try_get("workspace")?), row.try_get("generation")?))).collect()
    }
}
