//! Generations of a workspace's records: the live one, one that a rebuild is making, one kept from before.
//!
//! A workspace has at most two generations, one in each table set. The one that is not live is being built if its
//! number is higher than the live one's, and kept if it is lower.

pub(crate) mod clear;
pub(crate) mod rebuild_lock;
pub(crate) mod snapshot;
pub(crate) mod swap;

use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::records::checkpoint::{Checkpoint, StateForm, TableSet, checkpoint_of};

/// A generation of a workspace's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The checkpoint of the generation, with its number and table set.
    pub checkpoint: Checkpoint,
    /// The last position of the workspace's log.
    pub head: Position,
    /// When a verify last found the whole generation correct; 0 if none has.
    pub verified_at: UnixMs,
}

/// The generations of one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// The generation that readers see.
    pub live: Generation,
    /// The generation in the other table set, if there is one.
    pub other: Option<Generation>,
}

/// Sums over the generations of all workspaces, for the gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationSums {
    /// The highest number of a live generation.
    pub newest: i64,
    /// How many workspaces have a generation that is being built.
    pub building: i64,
    /// How many workspaces have a generation that is kept.
    pub kept: i64,
    /// Events folded into the generations that are being built.
    pub built_events: i64,
    /// Events folded into the live generations of the same workspaces.
    pub to_build_events: i64,
    /// When the live generation that was verified longest ago was verified; 0 if one never was.
    pub verified_at: UnixMs,
}

impl Generations {
    /// The generation that a rebuild is making.
    pub fn building(&self) -> Option<Generation> {
        self.other.filter(|other| other.checkpoint.generation > self.live.checkpoint.generation)
    }

    /// The generation that was live before and is kept.
    pub fn kept(&self) -> Option<Generation> {
        self.other.filter(|other| other.checkpoint.generation < self.live.checkpoint.generation)
    }
}

impl Store {
    /// The generations of one workspace, or of all (`None`), in the order of the workspaces' ids.
    pub async fn generations(&self, workspace: Option<WorkspaceId>) -> Result<Vec<Generations>, StoreError> {
        let sql = include_str!("../../../sql/records/generations/all.sql");
        let rows = self.query(sql, &[&workspace.map(|id| id.0)]).await?;
        let all = rows.iter().map(generation_of).collect::<Result<Vec<_>, _>>()?;
        let by_workspace = all.chunk_by(|a, b| a.workspace == b.workspace).filter_map(|own| {
            let live = *own.iter().find(|one| one.checkpoint.live)?;
            Some(Generations { live, other: own.iter().find(|one| !one.checkpoint.live).copied() })
        });
        Ok(by_workspace.collect())
    }

    /// The workspaces whose live records an earlier version folded, in the order of their ids: they have to be rebuilt before
    /// they are folded on. Reads every checkpoint.
    pub async fn workspaces_of_earlier_forms(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let sql = include_str!("../../../sql/records/generations/of_earlier_forms.sql");
        let rows = self.query(sql, &[&StateForm::CURRENT.0]).await?;
        rows.iter().map(|row| Ok(WorkspaceId(row.try_get("workspace")?))).collect()
    }

    /// Sums over all generations. Reads every checkpoint.
    pub async fn generation_sums(&self) -> Result<GenerationSums, StoreError> {
        let row = self.query_opt(include_str!("../../../sql/records/generations/sums.sql"), &[]).await?;
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

    /// Starts the next generation of a workspace in its other table set, with the rules of the `_catalog` event at
    /// `refold` (0: of each event's own time). Does nothing if that set has a generation.
    pub async fn start_generation(&self, workspace: WorkspaceId, refold: Position) -> Result<(), StoreError> {
        let sql = include_str!("../../../sql/records/generations/start.sql");
        self.execute(sql, &[&workspace.0, &refold.0, &StateForm::CURRENT.0]).await.map(drop)
    }

    /// Takes a generation that is being built back to its start, perhaps with the rules of another refold. Its rows
    /// stay until [`Store::clear_set`] deletes them.
    pub async fn restart_generation(
        &self,
        workspace: WorkspaceId,
        table_set: TableSet,
        refold: Position,
    ) -> Result<(), StoreError> {
        let sql = include_str!("../../../sql/records/generations/restart.sql");
        self.execute(sql, &[&workspace.0, &table_set.0, &refold.0, &StateForm::CURRENT.0]).await.map(drop)
    }

    /// The position of the newest `_catalog` event of a log that asks for a refold; 0 if none does.
    pub async fn newest_refold(&self, workspace: WorkspaceId) -> Result<Position, StoreError> {
        let sql = include_str!("../../../sql/records/generations/catalog_events.sql");
        let rows = self.query(sql, &[&workspace.0]).await?;
        for row in &rows {
            let fields = Fields::from_msgpack(row.try_get("fields")?).map_err(StoreError::corrupt)?;
            if Catalog::asks_for_refold(&fields) {
                return Ok(Position(row.try_get("position")?));
            }
        }
        Ok(Position::START)
    }

    /// Records that a verify found the whole live generation of a workspace correct.
    pub async fn save_verified(&self, workspace: WorkspaceId, generation: i64, now: UnixMs) -> Result<(), StoreError> {
        let sql = include_str!("../../../sql/records/generations/save_verified.sql");
        self.execute(sql, &[&workspace.0, &generation, &now.0]).await.map(drop)
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
