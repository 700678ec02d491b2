//! What the projector loads and writes: records, conflicts and checkpoint in one transaction (FOLD-1).

use deadpool_postgres::Transaction;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::db::array_params::Params;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::{Checkpoint, TableSet, checkpoint_of};
use crate::records::conflict_rows::{HistoryRows, OutcomeRows};
use crate::records::digests::DigestRows;
use crate::records::pages::StoredRecord;
use crate::records::record_rows::{RecordRows, texts};

/// Stored records that were asked for by their keys; a key that is not here was never seen.
#[derive(Debug, Default)]
pub struct LoadedRecords {
    /// Those that were read.
    pub records: Vec<StoredRecord>,
    /// What each of these brings to its table's digest; nothing of a tombstone.
    pub hashes: Vec<Option<RecordHash>>,
    /// For each that was found the number of its key and what it weighs as it is stored, in bytes.
    pub weights: Vec<(usize, usize)>,
}

/// What a step folded: everything that its transaction writes.
#[derive(Debug)]
pub struct StepWrites {
    /// The records it changed that were not stored before, each once: that one is would be damage, and nothing is written.
    pub new_records: RecordRows,
    /// The other records it changed, each once.
    pub known_records: RecordRows,
    /// What became of its events, and the conflicts of it.
    pub outcomes: OutcomeRows,
    /// The positions that left the records they are of.
    pub history: HistoryRows,
    /// What its records bring to the digests of their tables.
    pub digests: DigestRows,
    /// The last event that it folded, which ends a batch.
    pub end: Cursor,
    /// The `_catalog` event in force there.
    pub catalog_position: Position,
}

/// What became of a step's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// It is committed.
    Committed,
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
    ) -> Result<LoadedRecords, StoreError> {
        if keys.is_empty() {
            return Ok(LoadedRecords::default());
        }
        let (mut tables, mut scopes, mut records) = texts();
        for key in keys {
            tables.push(key.table.as_str().as_bytes());
            scopes.push(key.scope.as_str().as_bytes());
            records.push(key.record.as_str().as_bytes());
        }
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let sql = include_str!("../../sql/records/write_step/load_records.sql");
        let table_set = table_set.map(|set| set.0);
        let rows = self.query(sql, &[&workspace.0, &tables, &scopes, &records, &bytes_max, &table_set]).await?;
        let mut loaded = LoadedRecords::default();
        for row in &rows {
            let number = usize::try_from(row.try_get::<_, i64>(0)? - 1).map_err(StoreError::corrupt)?;
            let key = keys.get(number).ok_or_else(|| StoreError::corrupt("a record that nobody asked for"))?;
            loaded.weights.push((number, usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default()));
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
    pub async fn write_step(
        &self,
        workspace: WorkspaceId,
        expected: Checkpoint,
        writes: &StepWrites,
    ) -> Result<StepOutcome, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = transaction.prepare_cached(include_str!("../../sql/records/write_step/lock_checkpoint.sql")).await?;
        let (table_set, end) = (&expected.table_set.0, writes.end);
        let held = transaction.query_opt(&lock, &[&workspace.0, table_set, &end.position.0]).await?;
        let Some(held) = held else { return Ok(StepOutcome::Busy) };
        let check = held.try_get::<_, Option<i64>>(6)?.map(CursorCheck);
        if checkpoint_of(&held)? != expected || check != Some(end.check) {
            return Ok(StepOutcome::Overtaken);
        }
        write(&transaction, &workspace.0, expected, writes).await?;
        commit(transaction).await?;
        Ok(StepOutcome::Committed)
    }
}

/// Writes what was folded: statements sent one behind the other, each answer waited for; what is empty is not sent.
async fn write(
    transaction: &Transaction<'_>,
    workspace: &Uuid,
    Checkpoint { table_set: TableSet(table_set), live, .. }: Checkpoint,
    writes: &StepWrites,
) -> Result<(), StoreError> {
    let table_set = &table_set;
    let StepWrites { new_records, known_records, outcomes, history, digests, end, catalog_position } = writes;
    let OutcomeRows { verdicts, made, closed } = outcomes;
    let run = async |is_empty: bool, sql: &str, params: &[&(dyn ToSql + Sync)]| {
        if is_empty {
            return Ok(0);
        }
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, params).await
    };
    let (added, saved) = (new_records.params(workspace, table_set), known_records.params(workspace, table_set));
    let judged = verdicts.params(workspace, table_set);
    let (opened, settled) = (made.params(workspace, table_set), closed.params(workspace, table_set));
    let (left, counted) = (history.params(workspace, table_set), digests.params(workspace, table_set));
    let moved: Params<'_, 4> = [workspace, table_set, &end.position.0, &catalog_position.0];
    tokio::try_join!(
        async {
            // COPY takes a round trip more, and less of Postgres' time for a row: for whom nobody waits.
            if live || new_records.is_empty() {
                run(new_records.is_empty(), include_str!("../../sql/records/write_step/add_records.sql"), &added).await
            } else {
                new_records.copy(transaction, workspace, table_set).await
            }
        },
        run(known_records.is_empty(), include_str!("../../sql/records/write_step/save_records.sql"), &saved),
        run(verdicts.is_empty(), include_str!("../../sql/records/write_step/save_verdicts.sql"), &judged),
        async {
            run(made.is_empty(), include_str!("../../sql/records/write_step/save_conflicts.sql"), &opened).await?;
            // One may have been made by an event and closed by a later one of the same step.
            run(closed.is_empty(), include_str!("../../sql/records/write_step/close_conflicts.sql"), &settled).await
        },
        run(history.is_empty(), include_str!("../../sql/records/write_step/save_events.sql"), &left),
        run(digests.is_empty(), include_str!("../../sql/records/write_step/add_digests.sql"), &counted),
        run(false, include_str!("../../sql/records/write_step/move_checkpoint.sql"), &moved),
    )?;
    Ok(())
}

/// Reads the columns that the statement selects after number and size; `None` where that is all there is.
fn record_of(row: &Row) -> Result<Option<Record>, StoreError> {
    let Some(fields) = row.try_get::<_, Option<&[u8]>>(6)? else { return Ok(None) };
    let plain = Fields::from_msgpack(fields).map_err(StoreError::corrupt)?;
    let positions = (Position(row.try_get(2)?), Position(row.try_get(3)?));
    let record = Record::from_stored(plain, row.try_get(7)?, row.try_get(5)?, positions, UnixMs(row.try_get(4)?));
    record.map(Some).map_err(StoreError::corrupt)
}
