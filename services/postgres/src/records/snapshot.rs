//! What is stored, as it stands in one snapshot: read by whoever compares it with the fold of the log.

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
const ROWS: i64 = 1_000;

/// A stored record as it stands, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecordRow {
    /// Position of the last event that changed what a reader sees.
    pub version: i64,
    /// Position of the last event that named it.
    pub touched: i64,
    /// When the event at `version` was stored.
    pub updated_at_ms: i64,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// How many conflicts are open.
    pub open_conflicts: i32,
    /// The plain fields.
    pub fields: Vec<u8>,
    /// What folding on needs.
    pub state: Vec<u8>,
}

/// A stored block of a record's positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHistoryBlock {
    /// Its number, from 0.
    pub block: i32,
    /// The positions.
    pub positions: Vec<i64>,
}

/// A stored conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConflictRow {
    /// The op that met it.
    pub position: i64,
    /// The field.
    pub field: String,
    /// Where it stands.
    pub status: String,
    /// What closed it; 0 nothing.
    pub closed_position: i64,
    /// What decided it.
    pub rule: String,
    /// The record's table, scope and id.
    pub record: [String; 3],
    /// The winner's position, whether it is a delete, its value as MessagePack if it has one.
    pub winner: (i64, bool, Option<Vec<u8>>),
    /// The loser's.
    pub loser: (i64, bool, Option<Vec<u8>>),
}

/// A connection for a snapshot.
pub struct SnapshotConnection(Object);

/// What is stored of one workspace's live generation, as of one moment. No more than 10 seconds may pass between two reads.
pub struct GenerationSnapshot<'a> {
    transaction: Transaction<'a>,
    workspace: WorkspaceId,
    /// The live checkpoint at that moment.
    pub checkpoint: Checkpoint,
}

impl Store {
    /// A connection for a snapshot.
    pub async fn snapshot_connection(&self) -> Result<SnapshotConnection, StoreError> {
        Ok(SnapshotConnection(self.client().await?))
    }
}

impl SnapshotConnection {
    /// Everything as it stands now; `None`: no such workspace.
    pub async fn snapshot(&mut self, workspace: WorkspaceId) -> Result<Option<GenerationSnapshot<'_>>, StoreError> {
        let transaction = begin_snapshot(&mut self.0).await?;
        let sql = include_str!("../../sql/records/checkpoint/checkpoint.sql");
        let row = transaction.query_opt(sql, &[&workspace.0, &None::<i16>]).await?;
        let checkpoint = row.as_ref().map(checkpoint_of).transpose()?;
        Ok(checkpoint.map(|checkpoint| GenerationSnapshot { transaction, workspace, checkpoint }))
    }
}

impl GenerationSnapshot<'_> {
    fn set(&self) -> TableSet {
        self.checkpoint.table_set
    }

    /// Gives every record to `take`.
    pub async fn records(&self, mut take: impl FnMut(RecordKey, StoredRecordRow)) -> Result<(), StoreError> {
        let sql = self.transaction.prepare_cached(include_str!("../../sql/records/snapshot/records.sql")).await?;
        let mut after = [String::new(), String::new(), String::new()];
        loop {
            let [table, scope, record] = &after;
            let rows =
                self.transaction.query(&sql, &[&self.workspace.0, &self.set().0, table, scope, record, &ROWS]).await?;
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

    /// Gives every block of positions to `take`.
    pub async fn record_events(&self, mut take: impl FnMut(RecordKey, StoredHistoryBlock)) -> Result<(), StoreError> {
        let sql = self.transaction.prepare_cached(include_str!("../../sql/records/snapshot/record_events.sql")).await?;
        let (mut after, mut block) = ([String::new(), String::new(), String::new()], -1);
        loop {
            let [table, scope, record] = &after;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&self.workspace.0, &self.set().0, table, scope, record, &block, &ROWS];
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

    /// Gives every verdict to `take`, in the order of the positions.
    pub async fn verdicts(&self, mut take: impl FnMut(Position, &str)) -> Result<(), StoreError> {
        let sql = self.transaction.prepare_cached(include_str!("../../sql/records/snapshot/verdicts.sql")).await?;
        let mut after = 0;
        loop {
            let rows = self.transaction.query(&sql, &[&self.workspace.0, &self.set().0, &after, &ROWS]).await?;
            for row in &rows {
                after = row.try_get("position")?;
                take(Position(after), row.try_get("verdict")?);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives every conflict to `take`.
    pub async fn conflicts(&self, mut take: impl FnMut(StoredConflictRow)) -> Result<(), StoreError> {
        let sql = self.transaction.prepare_cached(include_str!("../../sql/records/snapshot/conflicts.sql")).await?;
        let (mut position, mut field) = (0_i64, String::new());
        loop {
            let rows =
                self.transaction.query(&sql, &[&self.workspace.0, &self.set().0, &position, &field, &ROWS]).await?;
            for row in &rows {
                (position, field) = (row.try_get("position")?, row.try_get("field")?);
                take(conflict_row_of(row)?);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    /// Every digest: of a table and scope, and (`None`) of the table as a whole.
    pub async fn digests(&self) -> Result<Vec<((TableName, Option<Scope>), TableDigest)>, StoreError> {
        let sql = include_str!("../../sql/records/snapshot/digests.sql");
        let rows = self.transaction.query(sql, &[&self.workspace.0, &self.set().0]).await?;
        let read = |row: &Row| {
            let scope = match row.try_get("scope")? {
                EVERY_SCOPE => None,
                scope => Some(Scope::parse(scope).map_err(StoreError::corrupt)?),
            };
            Ok(((parse_column(row, "table_name", TableName::parse)?, scope), digest_of(row)?))
        };
        rows.iter().map(read).collect()
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
    })
}
