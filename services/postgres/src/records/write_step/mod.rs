//! The transaction of a projector step: records, conflicts, verdicts, digests and checkpoint are written together
//! (FOLD-1).

pub(crate) mod conflict_rows;
pub(crate) mod digest_rows;
pub(crate) mod history_rows;
pub(crate) mod load;
pub(crate) mod outcome_rows;
pub(crate) mod record_rows;
pub(crate) mod verdict_rows;

use deadpool_postgres::Transaction;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{Position, WorkspaceId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::db::array_params::Params;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::{Checkpoint, StateForm, TableSet, checkpoint_of};
use crate::records::write_step::digest_rows::DigestRows;
use crate::records::write_step::history_rows::HistoryRows;
use crate::records::write_step::outcome_rows::OutcomeRows;
use crate::records::write_step::record_rows::RecordRows;

/// Everything that the transaction of a step writes.
#[derive(Debug)]
pub struct StepWrites {
    /// Changed records that have no row yet, each once. They are inserted, not upserted: an existing row means
    /// corruption, and the step is rolled back.
    pub new_records: RecordRows,
    /// Changed records that have a row, each once.
    pub known_records: RecordRows,
    /// The verdicts of the step's events, and the conflicts that they made and closed.
    pub outcomes: OutcomeRows,
    /// Positions that have left the states of their records.
    pub history: HistoryRows,
    /// The changes of the digests of tables.
    pub digests: DigestRows,
    /// The cursor to the last event that was folded, which ends a batch.
    pub end: Cursor,
    /// The position of the `_catalog` event in force at `end`.
    pub catalog_position: Position,
}

/// The result of a step's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// The step is written, and the checkpoint has moved.
    Committed,
    /// Another projector has the checkpoint locked. Nothing is written.
    Busy,
    /// The checkpoint or the log has changed since it was read. Nothing is written, and the caller has to read both
    /// again.
    Overtaken,
}

impl Store {
    /// Writes a step and moves the checkpoint from where it is expected (FOLD-1).
    ///
    /// With the checkpoint locked, it checks that the checkpoint and the last event folded are the ones that were read.
    /// So everything that was read before, on whatever connection, still holds (docs/adr/0016).
    pub async fn write_step(
        &self,
        workspace: WorkspaceId,
        expected: Checkpoint,
        writes: &StepWrites,
    ) -> Result<StepOutcome, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let lock = include_str!("../../../sql/records/write_step/lock_checkpoint.sql");
        let lock = transaction.prepare_cached(lock).await?;
        let (table_set, end) = (&expected.table_set.0, writes.end);
        let locked = transaction.query_opt(&lock, &[&workspace.0, table_set, &end.position.0]).await?;
        let Some(locked) = locked else { return Ok(StepOutcome::Busy) };
        let check = locked.try_get::<_, Option<i64>>(7)?.map(CursorCheck);
        if checkpoint_of(&locked)? != expected || check != Some(end.check) {
            return Ok(StepOutcome::Overtaken);
        }
        write(&transaction, &workspace.0, expected, writes).await?;
        commit(transaction).await?;
        Ok(StepOutcome::Committed)
    }
}

/// Writes the rows of a step. The statements are pipelined: each is sent without waiting for the responses to the
/// others, unless it depends on one of them. A statement without rows is not sent.
async fn write(
    transaction: &Transaction<'_>,
    workspace: &Uuid,
    Checkpoint { table_set: TableSet(table_set), live, .. }: Checkpoint,
    writes: &StepWrites,
) -> Result<(), StoreError> {
    let table_set = &table_set;
    let StepWrites { new_records, known_records, outcomes, history, digests, end, catalog_position } = writes;
    let OutcomeRows { verdicts, new_conflicts, closed_conflicts } = outcomes;
    let run = async |is_empty: bool, sql: &str, params: &[&(dyn ToSql + Sync)]| {
        if is_empty {
            return Ok(0);
        }
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, params).await
    };
    let new_params = new_records.params(workspace, table_set);
    let known_params = known_records.params(workspace, table_set);
    let verdict_params = verdicts.params(workspace, table_set);
    let conflict_params = new_conflicts.params(workspace, table_set);
    let closed_params = closed_conflicts.params(workspace, table_set);
    let history_params = history.params(workspace, table_set);
    let digest_params = digests.params(workspace, table_set);
    let checkpoint_params: Params<'_, 5> =
        [workspace, table_set, &end.position.0, &catalog_position.0, &StateForm::CURRENT.0];
    tokio::try_join!(
        async {
            // COPY takes one round trip more and less of Postgres' time per row, which suits a rebuild: nobody waits
            // for it.
            if live || new_records.is_empty() {
                let sql = include_str!("../../../sql/records/write_step/add_records.sql");
                run(new_records.is_empty(), sql, &new_params).await
            } else {
                new_records.copy(transaction, workspace, table_set).await
            }
        },
        run(
            known_records.is_empty(),
            include_str!("../../../sql/records/write_step/upsert_records.sql"),
            &known_params
        ),
        run(verdicts.is_empty(), include_str!("../../../sql/records/write_step/add_verdicts.sql"), &verdict_params),
        async {
            let add = include_str!("../../../sql/records/write_step/add_conflicts.sql");
            run(new_conflicts.is_empty(), add, &conflict_params).await?;
            // An event may have closed a conflict that an earlier event of the same step made.
            let close = include_str!("../../../sql/records/write_step/close_conflicts.sql");
            run(closed_conflicts.is_empty(), close, &closed_params).await
        },
        run(
            history.is_empty(),
            include_str!("../../../sql/records/write_step/add_history_blocks.sql"),
            &history_params
        ),
        run(digests.is_empty(), include_str!("../../../sql/records/write_step/change_digests.sql"), &digest_params),
        run(false, include_str!("../../../sql/records/write_step/move_checkpoint.sql"), &checkpoint_params),
    )?;
    Ok(())
}
