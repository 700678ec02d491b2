//! What the projector reads and writes: records, verdicts and checkpoint in one transaction (FOLD-1).

use deadpool_postgres::Transaction;
use tidelog_core::fold::{Folded, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::Verdict;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::client::Store;
use crate::error::StoreError;
use crate::records::{StoredRecord, record_of};
use crate::transact::{begin, commit};

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

/// What a step folded: everything that its transaction writes.
#[derive(Debug)]
pub struct Folding {
    /// The records it changed, each once.
    pub changed: Vec<StoredRecord>,
    /// What became of each event, in order.
    pub folded: Vec<FoldedEvent>,
    /// The checkpoint from now on: a batch boundary.
    pub position: Position,
    /// The `_catalog` event in force there.
    pub catalog_position: Position,
}

impl Store {
    /// The checkpoint of a workspace; `None`: no such workspace.
    pub async fn checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Checkpoint>, StoreError> {
        let row = self.query_opt(include_str!("../sql/records/checkpoint.sql"), &[&workspace.0]).await?;
        row.as_ref().map(checkpoint_of).transpose()
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

    /// What the stored records with these keys weigh, in bytes.
    pub async fn stored_bytes(&self, workspace: WorkspaceId, keys: &[RecordKey]) -> Result<i64, StoreError> {
        let (tables, scopes, records) = columns(keys);
        let sql = include_str!("../sql/records/stored_bytes.sql");
        let row = self.query_opt(sql, &[&workspace.0, &tables, &scopes, &records]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// Folds in one transaction that holds the checkpoint: loads the records with these keys, hands them to `fold`, and
    /// writes what it returns together with the checkpoint (FOLD-1). `None`: the checkpoint is no longer where the
    /// caller read it, or another projector holds it.
    pub async fn project(
        &self,
        workspace: WorkspaceId,
        expected: Checkpoint,
        keys: &[RecordKey],
        fold: impl FnOnce(Vec<StoredRecord>) -> Result<Folding, StoreError>,
    ) -> Result<Option<Folding>, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = transaction.prepare_cached(include_str!("../sql/records/lock_checkpoint.sql")).await?;
        let held = transaction.query_opt(&lock, &[&workspace.0]).await?;
        if held.as_ref().map(checkpoint_of).transpose()? != Some(expected) {
            return Ok(None);
        }
        let step = ProjectTx { transaction, workspace };
        let folding = fold(step.load(keys).await?)?;
        step.save(&folding).await?;
        commit(step.transaction).await?;
        Ok(Some(folding))
    }
}

/// Keys as the arrays that statements take.
fn columns(keys: &[RecordKey]) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let tables = keys.iter().map(|key| key.table.as_str()).collect();
    let scopes = keys.iter().map(|key| key.scope.as_str()).collect();
    (tables, scopes, keys.iter().map(|key| key.record.as_str()).collect())
}

fn checkpoint_of(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        position: Position(row.try_get("position")?),
        catalog_position: Position(row.try_get("catalog_position")?),
        generation: row.try_get("generation")?,
    })
}

/// The transaction of one step.
struct ProjectTx<'a> {
    transaction: Transaction<'a>,
    workspace: WorkspaceId,
}

impl ProjectTx<'_> {
    /// The stored records with these keys; the others were never seen.
    async fn load(&self, keys: &[RecordKey]) -> Result<Vec<StoredRecord>, StoreError> {
        let (tables, scopes, records) = columns(keys);
        let statement = self.transaction.prepare_cached(include_str!("../sql/records/load.sql")).await?;
        let rows = self.transaction.query(&statement, &[&self.workspace.0, &tables, &scopes, &records]).await?;
        rows.iter().map(record_of).collect()
    }

    async fn save(&self, folding: &Folding) -> Result<(), StoreError> {
        self.save_records(&folding.changed).await?;
        self.save_verdicts(&folding.folded).await?;
        let sql = include_str!("../sql/records/move_checkpoint.sql");
        let statement = self.transaction.prepare_cached(sql).await?;
        let params: [&(dyn ToSql + Sync); 3] = [&self.workspace.0, &folding.position.0, &folding.catalog_position.0];
        self.transaction.execute(&statement, &params).await?;
        Ok(())
    }

    async fn save_records(&self, changed: &[StoredRecord]) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        let tables: Vec<_> = changed.iter().map(|(key, _)| key.table.as_str()).collect();
        let scopes: Vec<_> = changed.iter().map(|(key, _)| key.scope.as_str()).collect();
        let records: Vec<_> = changed.iter().map(|(key, _)| key.record.as_str()).collect();
        let versions: Vec<_> = changed.iter().map(|(_, record)| record.version.0).collect();
        let touched: Vec<_> = changed.iter().map(|(_, record)| record.touched.0).collect();
        let updated: Vec<_> = changed.iter().map(|(_, record)| record.updated_at.0).collect();
        let deleted: Vec<_> = changed.iter().map(|(_, record)| record.deleted).collect();
        let open: Vec<_> = changed.iter().map(|(_, record)| record.open_conflicts.len() as i32).collect();
        let fields: Vec<_> = changed.iter().map(|(_, record)| record.plain().to_msgpack()).collect();
        let states = changed.iter().map(|(_, record)| record.state_bytes().map_err(StoreError::corrupt));
        let states = states.collect::<Result<Vec<_>, _>>()?;
        let statement = self.transaction.prepare_cached(include_str!("../sql/records/save.sql")).await?;
        let params: [&(dyn ToSql + Sync); 11] = [
            &self.workspace.0,
            &tables,
            &scopes,
            &records,
            &versions,
            &touched,
            &updated,
            &deleted,
            &open,
            &fields,
            &states,
        ];
        self.transaction.execute(&statement, &params).await?;
        Ok(())
    }

    /// Writes the verdicts that say more than `applied`.
    async fn save_verdicts(&self, folded: &[FoldedEvent]) -> Result<(), StoreError> {
        let verdicts: Vec<_> = folded.iter().filter(|event| event.folded.verdict != Verdict::Applied).collect();
        if verdicts.is_empty() {
            return Ok(());
        }
        let positions: Vec<_> = verdicts.iter().map(|event| event.position.0).collect();
        let texts: Vec<_> = verdicts.iter().map(|event| event.folded.verdict.as_str()).collect();
        let conflicts = verdicts.iter().map(|event| serde_json::to_string(&event.folded.conflicts));
        let conflicts = conflicts.collect::<Result<Vec<_>, _>>().map_err(StoreError::corrupt)?;
        let statement = self.transaction.prepare_cached(include_str!("../sql/records/save_verdicts.sql")).await?;
        self.transaction.execute(&statement, &[&self.workspace.0, &positions, &texts, &conflicts]).await?;
        Ok(())
    }
}
