//! How far logs are folded.

use tidelog_core::digest::Digest;
use tidelog_core::ids::{ConflictId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::verdict::Verdict;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// How far a log is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Events up to here are in the records.
    pub position: Position,
    /// The `_catalog` event in force there; 0 before the first.
    pub catalog_position: Position,
    /// Which making of the records this is.
    pub generation: i64,
    /// The tables it is in.
    pub table_set: TableSet,
    /// The `_catalog` event whose rules it holds from position 1 on; 0 where each event is folded by those of its time.
    pub refold_position: Position,
    /// Whether this is what everybody reads.
    pub live: bool,
}

/// One of the two sets of tables that records, verdicts and conflicts are in: 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableSet(pub i16);

impl TableSet {
    /// The other one.
    pub fn other(self) -> Self {
        Self(1 - self.0)
    }
}

/// A workspace whose log goes on after its checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct LaggingWorkspace {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its last position.
    pub head: Position,
    /// Its checkpoint.
    pub projected: Position,
    /// When the first event that is not folded was stored.
    pub waiting_since: UnixMs,
}

/// An event's verdict at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVerdict {
    /// The event.
    pub position: Position,
    /// What became of it.
    pub verdict: Verdict,
    /// The conflicts that it made, in the order of their fields.
    pub conflicts: Vec<ConflictId>,
}

impl Store {
    /// The live checkpoint of a workspace; `None`: no such workspace.
    pub async fn checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Checkpoint>, StoreError> {
        self.checkpoint_of_set(workspace, None).await
    }

    /// The checkpoint of a workspace in one set of tables, or the live one.
    pub async fn checkpoint_of_set(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let sql = include_str!("../../sql/records/checkpoint/checkpoint.sql");
        let row = self.query_opt(sql, &[&workspace.0, &table_set.map(|set| set.0)]).await?;
        row.as_ref().map(checkpoint_of).transpose()
    }

    /// The same with the digest of the `_catalog` event in force there, `None` before the first.
    pub async fn checkpoint_and_catalog(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
    ) -> Result<Option<(Checkpoint, Option<Digest>)>, StoreError> {
        let sql = include_str!("../../sql/records/checkpoint/checkpoint_and_catalog.sql");
        let row = self.query_opt(sql, &[&workspace.0, &table_set.map(|set| set.0)]).await?;
        row.map(|row| Ok((checkpoint_of(&row)?, row.try_get::<_, Option<i64>>(6)?.map(Digest)))).transpose()
    }

    /// What became of an event that was not rejected, with the conflicts that it made. `projected` is how far the
    /// log was folded when that was looked at, before this.
    pub async fn verdict(
        &self,
        workspace: WorkspaceId,
        position: Position,
        projected: Position,
    ) -> Result<(Verdict, Vec<ConflictId>), StoreError> {
        let stored = self.verdicts(workspace, position, position).await?.into_iter().next();
        Ok(match stored {
            Some(folded) => (folded.verdict, folded.conflicts),
            None if position > projected => (Verdict::Pending, Vec::new()),
            // What simply applied leaves no row.
            None => (Verdict::Applied, Vec::new()),
        })
    }

    /// The workspaces that have something to fold.
    pub async fn lagging(&self) -> Result<Vec<LaggingWorkspace>, StoreError> {
        let rows = self.query(include_str!("../../sql/records/checkpoint/lagging.sql"), &[]).await?;
        let read = |row: &Row| -> Result<LaggingWorkspace, StoreError> {
            Ok(LaggingWorkspace {
                workspace: WorkspaceId(row.try_get("workspace")?),
                head: Position(row.try_get("head")?),
                projected: Position(row.try_get("position")?),
                waiting_since: UnixMs(row.try_get("waiting_since_ms")?),
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Reads the columns that every statement on checkpoints selects first.
pub(crate) fn checkpoint_of(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        position: Position(row.try_get(0)?),
        catalog_position: Position(row.try_get(1)?),
        generation: row.try_get(2)?,
        table_set: TableSet(row.try_get(3)?),
        refold_position: Position(row.try_get(4)?),
        live: row.try_get(5)?,
    })
}
