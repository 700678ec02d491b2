//! Generations: the live records of a workspace, those that are being made anew beside them, and those kept from before.
//!
//! A workspace has at most two, in the two table sets. The one that is not live is being made if its number is the higher
//! one, and kept if it is the lower one.

use std::time::Duration;

use deadpool_postgres::Object;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::{Checkpoint, TableSet, checkpoint_of};

/// A generation of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Whose.
    pub workspace: WorkspaceId,
    /// How far it is, and in which tables.
    pub checkpoint: Checkpoint,
    /// The last position of the log.
    pub head: Position,
    /// When everything of it was last found as it should be; 0 never.
    pub verified_at: UnixMs,
}

/// The generations of one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// What everybody reads.
    pub live: Generation,
    /// The other one, if there is one.
    pub other: Option<Generation>,
}

/// What the gauges say of generations, over all workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationSums {
    /// The highest number of a live one.
    pub newest: i64,
    /// Workspaces with one that is being made.
    pub building: i64,
    /// Workspaces with one that is kept.
    pub kept: i64,
    /// Events folded into those that are being made.
    pub built_events: i64,
    /// Events folded into the live ones beside them.
    pub to_build_events: i64,
    /// When the workspace that was verified longest ago was; 0 if one never was.
    pub verified_at: UnixMs,
}

/// What a swap came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The other generation is live.
    Swapped,
    /// It is not far enough, or not there any more.
    NotReady,
}

/// The right to make and drop generations, as long as this lives. One process has it at a time.
pub struct RebuildLock(Option<Object>);

/// An arbitrary number that all versions of Tidelog share: whoever holds it makes and drops generations.
const LOCK: i64 = 0x7469_6465_6c6f_6702;
/// Rows that one statement deletes.
const CLEAR_ROWS: i64 = 5_000;
/// How often emptying tables is tried while others hold them.
const TRUNCATE_TRIES: usize = 10;
/// How long those others are left alone in between.
const TRUNCATE_PAUSE: Duration = Duration::from_millis(300);

impl Generations {
    /// The one that is being made.
    pub fn building(&self) -> Option<Generation> {
        self.other.filter(|other| other.checkpoint.generation > self.live.checkpoint.generation)
    }

    /// The one that is kept from before.
    pub fn kept(&self) -> Option<Generation> {
        self.other.filter(|other| other.checkpoint.generation < self.live.checkpoint.generation)
    }
}

impl Store {
    /// The generations of a workspace or of all, in the order of their ids.
    pub async fn generations(&self, workspace: Option<WorkspaceId>) -> Result<Vec<Generations>, StoreError> {
        let rows =
            self.query(include_str!("../../sql/records/generations/all.sql"), &[&workspace.map(|id| id.0)]).await?;
        let all = rows.iter().map(generation_of).collect::<Result<Vec<_>, _>>()?;
        let of_each = all.chunk_by(|a, b| a.workspace == b.workspace).filter_map(|own| {
            let live = *own.iter().find(|one| one.checkpoint.live)?;
            Some(Generations { live, other: own.iter().find(|one| !one.checkpoint.live).copied() })
        });
        Ok(of_each.collect())
    }

    /// What the gauges say of generations: looks at every checkpoint.
    pub async fn generation_sums(&self) -> Result<GenerationSums, StoreError> {
        let row = self.query_opt(include_str!("../../sql/records/generations/sums.sql"), &[]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("sums without a row"))?;
        Ok(GenerationSums {
            newest: row.try_get(0)?,
            building: row.try_get(1)?,
            kept: row.try_get(2)?,
            built_events: row.try_get(3)?,
            to_build_events: row.try_get(4)?,
            verified_at: UnixMs(row.try_get(5)?),
        })
    }

    /// Takes the right to make and drop generations; `None`: another process has it.
    pub async fn lock_rebuilds(&self) -> Result<Option<RebuildLock>, StoreError> {
        let client = self.client().await?;
        let row =
            client.query_one(include_str!("../../sql/records/generations/lock/lock_rebuilds.sql"), &[&LOCK]).await?;
        Ok(row.try_get::<_, bool>(0)?.then(|| RebuildLock(Some(client))))
    }

    /// Begins the next generation of a workspace, unless its other set is taken.
    pub async fn start_generation(&self, workspace: WorkspaceId, refold: Position) -> Result<(), StoreError> {
        let sql = include_str!("../../sql/records/generations/start.sql");
        self.execute(sql, &[&workspace.0, &refold.0]).await.map(drop)
    }

    /// Takes a generation that is being made back to its start, under the rules of another refold perhaps. Its rows are
    /// [`Store::clear_set`]'s to delete.
    pub async fn restart_generation(
        &self,
        workspace: WorkspaceId,
        table_set: TableSet,
        refold: Position,
    ) -> Result<(), StoreError> {
        let sql = include_str!("../../sql/records/generations/restart.sql");
        self.execute(sql, &[&workspace.0, &table_set.0, &refold.0]).await.map(drop)
    }

    /// Deletes what a workspace has in a set, some rows at a time. Nothing else may use it meanwhile.
    pub async fn clear_set(&self, workspace: WorkspaceId, table_set: TableSet) -> Result<(), StoreError> {
        for sql in [
            include_str!("../../sql/records/generations/empty/clear_records.sql"),
            include_str!("../../sql/records/generations/empty/clear_events.sql"),
            include_str!("../../sql/records/generations/empty/clear_verdicts.sql"),
            include_str!("../../sql/records/generations/empty/clear_conflicts.sql"),
            include_str!("../../sql/records/generations/empty/clear_digests.sql"),
        ] {
            while self.execute(sql, &[&workspace.0, &table_set.0, &CLEAR_ROWS]).await? > 0 {}
        }
        Ok(())
    }

    /// Makes the generation that is being made the live one. Under the lock of the live checkpoint, which no projector
    /// moves meanwhile, `fold_rest` folds what the new one still lacks up to there, on other connections; it has to take
    /// less than the 10 seconds that a transaction may idle.
    pub async fn swap_generation<E: From<StoreError>>(
        &self,
        workspace: WorkspaceId,
        fold_rest: impl AsyncFnOnce(Checkpoint) -> Result<Option<Checkpoint>, E>,
    ) -> Result<SwapOutcome, E> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = include_str!("../../sql/records/generations/lock/lock_live.sql");
        let live = transaction.query_opt(lock, &[&workspace.0]).await.map_err(StoreError::from)?;
        let Some(live) = live.as_ref().map(checkpoint_of).transpose()? else { return Ok(SwapOutcome::NotReady) };
        let Some(next) = fold_rest(live).await? else { return Ok(SwapOutcome::NotReady) };
        if next.position < live.position || next.generation <= live.generation {
            return Ok(SwapOutcome::NotReady);
        }
        let flip = include_str!("../../sql/records/generations/flip.sql");
        let flipped = transaction.execute(flip, &[&workspace.0]).await.map_err(StoreError::from)?;
        if flipped != 2 {
            return Ok(SwapOutcome::NotReady);
        }
        commit(transaction).await?;
        Ok(SwapOutcome::Swapped)
    }

    /// Makes the kept generation of a workspace, or of all that have one, the live one again; which, with its number.
    pub async fn roll_back(&self, workspace: Option<WorkspaceId>) -> Result<Vec<(WorkspaceId, i64)>, StoreError> {
        let sql = include_str!("../../sql/records/generations/roll_back.sql");
        let rows = self.query(sql, &[&workspace.map(|id| id.0)]).await?;
        let now_live = rows.iter().filter(|row| row.try_get("live").unwrap_or(false));
        now_live.map(|row| Ok((WorkspaceId(row.try_get("workspace")?), row.try_get("generation")?))).collect()
    }

    /// Drops generations that are not live: first their checkpoints, then their rows, by emptying the tables of a set that
    /// nobody uses any more, or else row by row. What somebody left there who was cut short goes with them.
    pub async fn drop_generations(&self, dropped: &[Generation]) -> Result<(), StoreError> {
        for one in dropped {
            let (set, generation) = (&one.checkpoint.table_set.0, &one.checkpoint.generation);
            self.execute(
                include_str!("../../sql/records/generations/forget.sql"),
                &[&one.workspace.0, set, generation],
            )
            .await?;
        }
        for set in [TableSet(0), TableSet(1)] {
            if self.truncate_set(set).await? {
                continue;
            }
            for one in dropped.iter().filter(|one| one.checkpoint.table_set == set) {
                self.clear_set(one.workspace, set).await?;
            }
        }
        Ok(())
    }

    /// Empties the tables of a set if no workspace has a checkpoint there; whether it did. Whoever reads holds the tables
    /// for a moment, those of the other set too; where somebody has them for longer it is left.
    async fn truncate_set(&self, set: TableSet) -> Result<bool, StoreError> {
        for _ in 0..TRUNCATE_TRIES {
            match self.try_truncate_set(set).await {
                Err(StoreError::Locked(_) | StoreError::Unavailable(_)) => tokio::time::sleep(TRUNCATE_PAUSE).await,
                done => return done,
            }
        }
        Ok(false)
    }

    async fn try_truncate_set(&self, set: TableSet) -> Result<bool, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        transaction.query_one(include_str!("../../sql/records/generations/lock/lock_briefly.sql"), &[]).await?;
        let is_used =
            async |sql: &str| Ok::<bool, StoreError>(transaction.query_one(sql, &[&set.0]).await?.try_get(0)?);
        let used = include_str!("../../sql/records/generations/is_used.sql");
        if is_used(used).await? {
            return Ok(false);
        }
        transaction.execute(truncate_of(set), &[]).await?;
        // Looked at again under the tables' locks: whoever has taken the set meanwhile has written nothing there.
        if is_used(used).await? {
            return Ok(false);
        }
        commit(transaction).await?;
        Ok(true)
    }

    /// The newest `_catalog` event of a log that asks for a refold; 0 if none does.
    pub async fn newest_refold(&self, workspace: WorkspaceId) -> Result<Position, StoreError> {
        let rows =
            self.query(include_str!("../../sql/records/generations/catalog_events.sql"), &[&workspace.0]).await?;
        for row in &rows {
            let fields = Fields::from_msgpack(row.try_get("fields")?).map_err(StoreError::corrupt)?;
            if Catalog::asks_for_refold(&fields) {
                return Ok(Position(row.try_get("position")?));
            }
        }
        Ok(Position::START)
    }

    /// Notes that everything of a workspace's live generation was found as it should be.
    pub async fn save_verified(&self, workspace: WorkspaceId, generation: i64, now: UnixMs) -> Result<(), StoreError> {
        let sql = include_str!("../../sql/records/generations/save.sql");
        self.execute(sql, &[&workspace.0, &generation, &now.0]).await.map(drop)
    }
}

impl RebuildLock {
    /// Gives the right back.
    pub async fn release(mut self) -> Result<(), StoreError> {
        if let Some(client) = self.0.take() {
            client.query_one(include_str!("../../sql/records/generations/lock/unlock_rebuilds.sql"), &[&LOCK]).await?;
        }
        Ok(())
    }
}

impl Drop for RebuildLock {
    /// The right ends with the connection.
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

fn truncate_of(set: TableSet) -> &'static str {
    match set {
        TableSet(0) => include_str!("../../sql/records/generations/empty/truncate_0.sql"),
        TableSet(_) => include_str!("../../sql/records/generations/empty/truncate_1.sql"),
    }
}

fn generation_of(row: &Row) -> Result<Generation, StoreError> {
    Ok(Generation {
        workspace: WorkspaceId(row.try_get("workspace")?),
        checkpoint: checkpoint_of(row)?,
        head: Position(row.try_get("head")?),
        verified_at: UnixMs(row.try_get("verified_at_ms")?),
    })
}
