//! How far logs are folded.

use tidelog_core::digest::Digest;
use tidelog_core::fold::Folded;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::client::Store;
use crate::error::StoreError;

/// How far a log is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Events up to here are in the records.
    pub position: Position,
    /// The `_catalog` event in force there; 0 before the first.
    pub catalog_position: Position,
    /// Which making of the records this is.
    pub generation: i64,
}

/// A workspace whose log goes on after its checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Lagging {
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
pub struct FoldedEvent {
    /// The event.
    pub position: Position,
    /// What became of it.
    pub folded: Folded,
}

impl Store {
    /// The checkpoint of a workspace; `None`: no such workspace.
    pub async fn checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Checkpoint>, StoreError> {
        let row = self.query_opt(include_str!("../sql/records/checkpoint.sql"), &[&workspace.0]).await?;
        row.as_ref().map(checkpoint_of).transpose()
    }

    /// The same with the digest of the `_catalog` event in force there, `None` before the first.
    pub async fn checkpoint_and_catalog(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<(Checkpoint, Option<Digest>)>, StoreError> {
        let sql = include_str!("../sql/records/checkpoint_and_catalog.sql");
        let row = self.query_opt(sql, &[&workspace.0]).await?;
        row.map(|row| Ok((checkpoint_of(&row)?, row.try_get::<_, Option<i64>>(3)?.map(Digest)))).transpose()
    }

    /// The workspaces that have something to fold.
    pub async fn lagging(&self) -> Result<Vec<Lagging>, StoreError> {
        let rows = self.query(include_str!("../sql/records/lagging.sql"), &[]).await?;
        let read = |row: &Row| -> Result<Lagging, StoreError> {
            Ok(Lagging {
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
    })
}
