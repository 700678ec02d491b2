//! Every row of a live generation, in one snapshot: `tidelog verify` compares them with the fold of the log.

use deadpool_postgres::{Object, Transaction};
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::TableDigest;
use tidelog_core::ids::{Position, Scope, TableName, WorkspaceId};
use tokio_postgres::Row;

use crate::db::columns::{key_of, parse_column};
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::begin_snapshot;
use crate::records::checkpoint::{Checkpoint, TableSet, checkpoint_of};
use crate::records::digests::{EVERY_SCOPE, digest_of};

/// Rows that one statement reads.
const READ_ROWS_MAX: i64 = 1_000;

/// The row of a record, not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecordRow {
    /// The position of the last event that changed what a reader sees.
    pub version: i64,
    /// The position of the last event that named the record.
    pub touched: i64,
    /// When the event at `version` was stored.
    pub updated_at_ms: i64,
    /// Whether the record is a tombstone.
    pub deleted: bool,
    /// How many conflicts of the record are open.
    pub open_conflicts: i32,
    /// The fields as MessagePack.
    pub fields: Vec<u8>,
    /// The state that folding needs beside the fields.
    pub state: Vec<u8>,
}

/// A block of a record's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHistoryBlock {
    /// The number of the block, from 0.
    pub block: i32,
    /// The positions of events.
    pub positions: Vec<i64>,
}

/// The row of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConflictRow {
    /// The position of the event that made the conflict.
    pub position: i64,
    /// The field; empty of a delete that lost.
    pub field: String,
    /// The status.
    pub status: String,
    /// The position of the event that closed the conflict; 0 if none has.
    pub closed_position: i64,
    /// The rule that decided.
    pub rule: String,
    /// The record's table, scope and id.
    pub record: [String; 3],
    /// The winner: its position, whether it is a delete, and its value as MessagePack if it has one.
    pub winner: (i64, bool, Option<Vec<u8>>),
    /// The loser, in the same form.
    pub loser: (i64, bool, Option<Vec<u8>>),
    /// The position of the event that beat the op as a whole; 0 if none did.
    pub beaten_by: i64,
}

/// A connection on which snapshots are taken.
pub struct SnapshotConnection(Object);

/// The live generation of one workspace at one moment. No more than 10 seconds may pass between two reads, or Postgres
/// ends the transaction.
pub struct GenerationSnapshot<'a> {
    transaction: Transaction<'a>,
    workspace: WorkspaceId,
    /// The checkpoint of the generation.
    pub checkpoint: Checkpoint,
}

impl Store {
    /// A connection on which snapshots are taken.
    pub async fn snapshot_connection(&self) -> Result<SnapshotConnection, StoreError> {
        Ok(SnapshotConnection(self.client().await?))
    }
}

impl SnapshotConnection {
    /// A snapshot of a workspace's live generation as it is now. `None`: no such workspace.
    pub async fn snapshot(&mut self, workspace: WorkspaceId) -> Result<Option<GenerationSnapshot<'_>>, StoreError> {
        let transaction = begin_snapshot(&mut self.0).await?;
        let sql = include_str!("../../../sql/records/checkpoint/checkpoint.sql");
        let row = transaction.query_opt(sql, &[&workspace.0, &None::<i16>]).await?;
        let checkpoint = row.as_ref().map(checkpoint_of).transpose()?;
        Ok(checkpoint.map(|checkpoint| GenerationSnapshot { transaction, workspace, checkpoint }))
    }
}

impl GenerationSnapshot<'_> {
    fn set(&self) -> TableSet {
        self.checkpoint.table_set
    }

    /// Calls `take` for every record, in the order of the addresses.
    pub async fn records(&self, mut take: impl FnMut(RecordKey, StoredRecordRow)) -> Result<(), StoreError> {
        let sql = self
            .transaction
            .prepare_cached(include_str!("../../../sql/records/generations/snapshot/records.sql"))
            .await?;
        let mut after = [String::new(), String::new(), String::new()];
        loop {
            let [table, scope, record] = &after;
            let rows = self
                .transaction
                .query(&sql, &[&self.workspace.0, &self.set().0, table, scope, record, &READ_ROWS_MAX])
                .await?;
            for row in &rows {
                let stored = StoredRecordRow {
                    version: row.try_get("version")?,
                    touched: row.try_get("touched")?,
                    updated_at_ms: row.try_get("updated_at_ms")?,
                    deleted: row.try_get("deleted")?,
                    open_conflicts: row.try_get("open_conflicts")?,
                    fields: row.try_get("fields")?,
                    state: row.try_get("state")?,
                };
                take(key_of(row)?, stored);
            }
            let Some(last) = rows.last() else { return Ok(()) };
            after = address_of(last)?;
        }
    }

    /// Calls `take` for every block of every record's history, in the order of the addresses.
    pub async fn history_blocks(&self, mut take: impl FnMut(RecordKey, StoredHistoryBlock)) -> Result<(), StoreError> {
        let sql = self
            .transaction
            .prepare_cached(include_str!("../../../sql/records/generations/snapshot/history_blocks.sql"))
            .await?;
        let (mut after, mut block) = ([String::new(), String::new(), String::new()], -1);
        loop {
            let [table, scope, record] = &after;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&self.workspace.0, &self.set().0, table, scope, record, &block, &READ_ROWS_MAX];
            let rows = self.transaction.query(&sql, &params).await?;
            for row in &rows {
                take(
                    key_of(row)?,
                    StoredHistoryBlock { block: row.try_get("block")?, positions: row.try_get("positions")? },
                );
            }
            let Some(last) = rows.last() else { return Ok(()) };
            (after, block) = (address_of(last)?, last.try_get("block")?);
        }
    }

    /// Calls `take` for every stored verdict, in the order of the positions.
    pub async fn verdicts(&self, mut take: impl FnMut(Position, &str)) -> Result<(), StoreError> {
        let sql = self
            .transaction
            .prepare_cached(include_str!("../../../sql/records/generations/snapshot/verdicts.sql"))
            .await?;
        let mut after = 0;
        loop {
            let rows =
                self.transaction.query(&sql, &[&self.workspace.0, &self.set().0, &after, &READ_ROWS_MAX]).await?;
            for row in &rows {
                after = row.try_get("position")?;
                take(Position(after), row.try_get("verdict")?);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    /// Calls `take` for every conflict, in the order of position and field.
    pub async fn conflicts(&self, mut take: impl FnMut(StoredConflictRow)) -> Result<(), StoreError> {
        let sql = self
            .transaction
            .prepare_cached(include_str!("../../../sql/records/generations/snapshot/conflicts.sql"))
            .await?;
        let (mut position, mut field) = (0_i64, String::new());
        loop {
            let rows = self
                .transaction
                .query(&sql, &[&self.workspace.0, &self.set().0, &position, &field, &READ_ROWS_MAX])
                .await?;
            for row in &rows {
                (position, field) = (row.try_get("position")?, row.try_get("field")?);
                take(conflict_row_of(row)?);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    /// Every digest, by table and scope. The scope is `None` for the digest of a whole table.
    pub async fn digests(&self) -> Result<Vec<((TableName, Option<Scope>), TableDigest)>, StoreError> {
        let sql = include_str!("../../../sql/records/generations/snapshot/digests.sql");
        let rows = self.transaction.query(sql, &[&self.workspace.0, &self.set().0]).await?;
        let entry_of = |row: &Row| {
            let scope = match row.try_get("scope")? {
                EVERY_SCOPE => None,
                scope => Some(Scope::parse(scope).map_err(StoreError::corrupt)?),
            };
            Ok(((parse_column(row, "table_name", TableName::parse)?, scope), digest_of(row)?))
        };
        rows.iter().map(entry_of).collect()
    }
}

fn address_of(row: &Row) -> Result<[String; 3], StoreError> {
    Ok([row.try_get("table_name")?, row.try_get("scope")?, row.try_get("record")?])
}

fn conflict_row_of(row: &Row) -> Result<StoredConflictRow, StoreError> {
    Ok(StoredConflictRow {
        position: row.try_get("position")?,
        field: row.try_get("field")?,
        status: row.try_get("status")?,
        closed_position: row.try_get("closed_position")?,
        rule: row.try_get("rule")?,
        record: address_of(row)?,
        winner: (row.try_get("winner_position")?, row.try_get("winner_deleted")?, row.try_get("winner_value")?),
        loser: (row.try_get("loser_position")?, row.try_get("loser_deleted")?, row.try_get("loser_value")?),
        beaten_by: row.try_get("beaten_by_position")?,
    })
}
