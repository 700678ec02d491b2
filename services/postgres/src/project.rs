//! What the projector loads and writes: records, ledger and checkpoint in one transaction (FOLD-1).

use deadpool_postgres::Transaction;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::table_digest::RecordHash;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::checkpoint::{Checkpoint, TableSet, checkpoint_of};
use crate::client::Store;
use crate::columns::Column;
use crate::digests::DigestRows;
use crate::error::StoreError;
use crate::ledger_rows::{EventRows, LedgerRows, Params};
use crate::records::StoredRecord;
use crate::transact::{begin, commit};

/// Stored records that were asked for by their keys; a key that is not here was never seen.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that were read.
    pub records: Vec<StoredRecord>,
    /// What each of these brings to its table's digest; nothing of a tombstone.
    pub hashes: Vec<Option<RecordHash>>,
    /// For each that was found the number of its key and what it weighs as it is stored, in bytes.
    pub bytes: Vec<(usize, usize)>,
}

/// Records as their transaction is to write them.
#[derive(Debug)]
pub struct RecordRows {
    tables: Column,
    scopes: Column,
    records: Column,
    versions: Column,
    touched: Column,
    updated_at_ms: Column,
    deleted: Column,
    open_conflicts: Column,
    fields: Column,
    states: Column,
}

/// What a step folded: everything that its transaction writes.
#[derive(Debug)]
pub struct Folding {
    /// The records it changed that were not stored before, each once: that one is would be damage, and nothing is written.
    pub new: RecordRows,
    /// The other records it changed, each once.
    pub known: RecordRows,
    /// What became of its events, and the ledger of it.
    pub ledger: LedgerRows,
    /// The positions that left the records they are of.
    pub events: EventRows,
    /// What its records bring to the digests of their tables.
    pub digests: DigestRows,
    /// The last event that it folded, which ends a batch.
    pub end: Cursor,
    /// The `_catalog` event in force there.
    pub catalog_position: Position,
}

/// What became of a step's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projected {
    /// It is committed.
    Moved,
    /// Another projector is at it.
    Busy,
    /// The checkpoint or the log is not the one that was read: nothing is written, and all of it has to be read anew.
    Overtaken,
}

impl Store {
    /// The stored records with these keys, in the live tables or those of a set, as long as each weighs at most `bytes_max`
    /// as it is stored.
    pub async fn load(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
        keys: &[RecordKey],
        bytes_max: usize,
    ) -> Result<Loaded, StoreError> {
        if keys.is_empty() {
            return Ok(Loaded::default());
        }
        let (mut tables, mut scopes, mut records) = texts();
        for key in keys {
            tables.push(key.table.as_str().as_bytes());
            scopes.push(key.scope.as_str().as_bytes());
            records.push(key.record.as_str().as_bytes());
        }
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let sql = include_str!("../sql/records/load.sql");
        let table_set = table_set.map(|set| set.0);
        let rows = self.query(sql, &[&workspace.0, &tables, &scopes, &records, &bytes_max, &table_set]).await?;
        let mut loaded = Loaded::default();
        for row in &rows {
            let number = usize::try_from(row.try_get::<_, i64>(0)? - 1).map_err(StoreError::corrupt)?;
            let key = keys.get(number).ok_or_else(|| StoreError::corrupt("a record that nobody asked for"))?;
            loaded.bytes.push((number, usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default()));
            if let Some(record) = record_of(row)? {
                let fields = row.try_get::<_, Option<&[u8]>>(6)?.unwrap_or_default();
                loaded.hashes.push((!record.deleted).then(|| RecordHash::of(key, fields)));
                loaded.records.push((key.clone(), record));
            }
        }
        Ok(loaded)
    }

    /// Writes what was folded, and moves the checkpoint from where it was expected (FOLD-1). Under the checkpoint's lock it
    /// sees that both the checkpoint and the log up to the last event folded are those that were read: so what was read
    /// before, on whatever connection, is still so.
    pub async fn project(
        &self,
        workspace: WorkspaceId,
        expected: Checkpoint,
        folding: &Folding,
    ) -> Result<Projected, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = transaction.prepare_cached(include_str!("../sql/records/lock_checkpoint.sql")).await?;
        let (workspace, table_set, end) = (&workspace.0, &expected.table_set.0, folding.end);
        let held = transaction.query_opt(&lock, &[workspace, table_set, &end.position.0]).await?;
        let Some(held) = held else { return Ok(Projected::Busy) };
        let check = held.try_get::<_, Option<i64>>(6)?.map(CursorCheck);
        if checkpoint_of(&held)? != expected || check != Some(end.check) {
            return Ok(Projected::Overtaken);
        }
        write(&transaction, workspace, table_set, folding).await?;
        commit(transaction).await?;
        Ok(Projected::Moved)
    }
}

/// Writes what was folded: statements sent one behind the other, each answer waited for; what is empty is not sent.
async fn write(
    transaction: &Transaction<'_>,
    workspace: &Uuid,
    table_set: &i16,
    folding: &Folding,
) -> Result<(), StoreError> {
    let Folding { new, known, ledger, events, digests, end, catalog_position } = folding;
    let LedgerRows { verdicts, made, closed } = ledger;
    let run = async |is_empty: bool, sql: &str, params: &[&(dyn ToSql + Sync)]| {
        if is_empty {
            return Ok(0);
        }
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, params).await
    };
    let (added, saved) = (new.params(workspace, table_set), known.params(workspace, table_set));
    let judged = verdicts.params(workspace, table_set);
    let (opened, settled) = (made.params(workspace, table_set), closed.params(workspace, table_set));
    let (left, counted) = (events.params(workspace, table_set), digests.params(workspace, table_set));
    let moved: Params<'_, 4> = [workspace, table_set, &end.position.0, &catalog_position.0];
    tokio::try_join!(
        run(new.is_empty(), include_str!("../sql/records/add.sql"), &added),
        run(known.is_empty(), include_str!("../sql/records/save.sql"), &saved),
        run(verdicts.is_empty(), include_str!("../sql/records/save_verdicts.sql"), &judged),
        async {
            run(made.is_empty(), include_str!("../sql/conflicts/save.sql"), &opened).await?;
            // One may have been made by an event and closed by a later one of the same step.
            run(closed.is_empty(), include_str!("../sql/conflicts/close.sql"), &settled).await
        },
        run(events.is_empty(), include_str!("../sql/records/save_events.sql"), &left),
        run(digests.is_empty(), include_str!("../sql/digests/add.sql"), &counted),
        run(false, include_str!("../sql/records/move_checkpoint.sql"), &moved),
    )?;
    Ok(())
}

impl RecordRows {
    /// None yet.
    pub fn new() -> Self {
        let (tables, scopes, records) = texts();
        Self {
            tables,
            scopes,
            records,
            versions: Column::of(Type::INT8),
            touched: Column::of(Type::INT8),
            updated_at_ms: Column::of(Type::INT8),
            deleted: Column::of(Type::BOOL),
            open_conflicts: Column::of(Type::INT4),
            fields: Column::of(Type::BYTEA),
            states: Column::of(Type::BYTEA),
        }
    }

    /// Adds a record that is not among them yet; what it brings to its table's digest.
    pub fn push(&mut self, key: &RecordKey, record: &Record) -> Option<RecordHash> {
        self.tables.push(key.table.as_str().as_bytes());
        self.scopes.push(key.scope.as_str().as_bytes());
        self.records.push(key.record.as_str().as_bytes());
        self.versions.push(&record.version.0.to_be_bytes());
        self.touched.push(&record.touched.0.to_be_bytes());
        self.updated_at_ms.push(&record.updated_at.0.to_be_bytes());
        self.deleted.push(&[u8::from(record.deleted)]);
        self.open_conflicts.push(&(record.open_conflicts.len() as i32).to_be_bytes());
        let mut hash = None;
        self.fields.push_with(|bytes| {
            let start = bytes.len();
            record.write_fields(bytes);
            hash = (!record.deleted).then(|| RecordHash::of(key, &bytes[start..]));
        });
        self.states.push_with(|bytes| record.write_state(bytes));
        hash
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 12> {
        [
            workspace,
            table_set,
            &self.tables,
            &self.scopes,
            &self.records,
            &self.versions,
            &self.touched,
            &self.updated_at_ms,
            &self.deleted,
            &self.open_conflicts,
            &self.fields,
            &self.states,
        ]
    }
}

impl Default for RecordRows {
    fn default() -> Self {
        Self::new()
    }
}

fn texts() -> (Column, Column, Column) {
    (Column::of(Type::TEXT), Column::of(Type::TEXT), Column::of(Type::TEXT))
}

/// Reads the columns that the statement selects after number and size; `None` where that is all there is.
fn record_of(row: &Row) -> Result<Option<Record>, StoreError> {
    let Some(fields) = row.try_get::<_, Option<&[u8]>>(6)? else { return Ok(None) };
    let plain = Fields::from_msgpack(fields).map_err(StoreError::corrupt)?;
    let positions = (Position(row.try_get(2)?), Position(row.try_get(3)?));
    let record = Record::of_stored(plain, row.try_get(7)?, row.try_get(5)?, positions, UnixMs(row.try_get(4)?));
    record.map(Some).map_err(StoreError::corrupt)
}
