//! Checkpoints: how far logs are folded.

use tidelog_core::digest::Digest;
use tidelog_core::fold::STATE_FORM;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// How far a log is folded into one generation of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The events up to this position are in the records.
    pub position: Position,
    /// The position of the `_catalog` event in force at `position`; 0 before the first.
    pub catalog_position: Position,
    /// The number of the generation.
    pub generation: i64,
    /// The table set that the generation is in.
    pub table_set: TableSet,
    /// The position of the `_catalog` event whose rules hold from position 1 on; 0 if each event is folded by the
    /// catalog in force at its own position.
    pub refold_position: Position,
    /// Whether this is the generation that readers see.
    pub live: bool,
    /// The form of the states of its records.
    pub state_form: StateForm,
}

impl Checkpoint {
    /// Whether this version can fold further events into the generation. One without events yet takes any form.
    pub fn is_foldable(&self) -> bool {
        self.state_form == StateForm::CURRENT || self.position == Position::START
    }
}

/// The form in which the states of a generation's records are stored, and with it the rules of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateForm(pub i16);

impl StateForm {
    /// The form that this version writes.
    pub const CURRENT: Self = Self(STATE_FORM as i16);
}

/// A checkpoint, with what folding from there needs of the log before it.
#[derive(Debug, Clone, Copy)]
pub struct FoldStart {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The digest of the `_catalog` event in force there; `None` before the first.
    pub catalog_digest: Option<Digest>,
    /// The position of the last event up to there that gave a device an earlier name; 0 if none did.
    pub last_alias: Position,
}

/// One of the two sets of tables that hold records, verdicts and conflicts: 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableSet(pub i16);

impl TableSet {
    /// The other set.
    pub fn other(self) -> Self {
        Self(1 - self.0)
    }
}

/// A workspace whose log has events after its live checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct LaggingWorkspace {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The last position of its log.
    pub head: Position,
    /// The position of its checkpoint.
    pub projected: Position,
    /// When the first event after the checkpoint was stored.
    pub waiting_since: UnixMs,
}

impl Store {
    /// The live checkpoint of a workspace. `None`: no such workspace.
    pub async fn checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Checkpoint>, StoreError> {
        self.checkpoint_of_set(workspace, None).await
    }

    /// The checkpoint of a workspace in one table set. `table_set` `None`: the live checkpoint.
    pub async fn checkpoint_of_set(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let sql = include_str!("../../sql/records/checkpoint/checkpoint.sql");
        let row = self.query_opt(sql, &[&workspace.0, &table_set.map(|set| set.0)]).await?;
        row.as_ref().map(checkpoint_of).transpose()
    }

    /// The same with what folding from there needs of the log before it.
    pub async fn fold_start(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
    ) -> Result<Option<FoldStart>, StoreError> {
        let sql = include_str!("../../sql/records/checkpoint/fold_start.sql");
        let row = self.query_opt(sql, &[&workspace.0, &table_set.map(|set| set.0)]).await?;
        let start_of = |row: Row| {
            Ok(FoldStart {
                checkpoint: checkpoint_of(&row)?,
                catalog_digest: row.try_get::<_, Option<i64>>(7)?.map(Digest),
                last_alias: Position(row.try_get(8)?),
            })
        };
        row.map(start_of).transpose()
    }

    /// The workspaces whose log has events after the live checkpoint.
    pub async fn lagging(&self) -> Result<Vec<LaggingWorkspace>, StoreError> {
        let rows = self.query(include_str!("../../sql/records/checkpoint/lagging.sql"), &[]).await?;
        let lagging_of = |row: &Row| -> Result<LaggingWorkspace, StoreError> {
            Ok(LaggingWorkspace {
                workspace: WorkspaceId(row.try_get("workspace")?),
                head: Position(row.try_get("head")?),
                projected: Position(row.try_get("position")?),
                waiting_since: UnixMs(row.try_get("waiting_since_ms")?),
            })
        };
        rows.iter().map(lagging_of).collect()
    }
}

/// The checkpoint of a row: every statement that returns one selects the same columns first, in the same order.
pub(crate) fn checkpoint_of(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        position: Position(row.try_get(0)?),
        catalog_position: Position(row.try_get(1)?),
        generation: row.try_get(2)?,
        table_set: TableSet(row.try_get(3)?),
        refold_position: Position(row.try_get(4)?),
        live: row.try_get(5)?,
        state_form: StateForm(row.try_get(6)?),
    })
}
