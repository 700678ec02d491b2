//! Appends pushed batches to their logs: a group of batches, of one workspace or several, in one round trip.

mod batch;
mod rows;
pub(crate) mod system;

use deadpool_postgres::{GenericClient, Object};
use futures_util::future::join3;
use tidelog_core::ids::{CatalogVersion, Position, Seq, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::time::UnixMs;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::Row;

pub use batch::{AppendBatch, JudgedOp};
use rows::AppendRows;

use crate::db::error::StoreError;
use crate::db::pool::{RESPONSE_TIMEOUT, Store};

const APPEND_SQL: &str = include_str!("../../../sql/log/append/append.sql");

/// The result of appending one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The outcome.
    pub status: AppendStatus,
    /// The last position of the workspace after the batch.
    pub head: Position,
}

/// The outcome of appending one batch. All of these are expected, so none is an `Err`: each has its own response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendStatus {
    /// Every op of the batch is in the log (LOG-2).
    Appended {
        /// The last stored seq of the device.
        last_seq: i64,
        /// The positions of the ops, in seq order.
        runs: Vec<StoredRun>,
        /// The ops that were in the log before, with the code if they were rejected then.
        duplicates: Vec<(Seq, Option<RejectCode>)>,
    },
    /// The workspace has no such device.
    Unregistered,
    /// The device may no longer push.
    Revoked,
    /// Another catalog is in force than the one that the ops were judged by.
    CatalogStale,
    /// The cursor is past the head.
    CursorAhead,
    /// The event at the position of the cursor has another check.
    CursorDiverged,
    /// Ops before the batch are missing. Holds the first missing seq.
    SeqGap(Seq),
    /// A stored op has another digest than the op that was sent with its seq.
    SeqDiffers,
    /// The base of an op is past the head.
    BaseAhead,
}

/// Ops at consecutive positions: the op with seq `seq + i` is at `position + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRun {
    /// The seq of the first op.
    pub seq: Seq,
    /// The number of ops.
    pub count: i64,
    /// The position of the first op.
    pub position: Position,
}

impl Store {
    /// Appends batches, at most one per device, and returns their results in the same order.
    ///
    /// The batches of a workspace have to be adjacent, and the workspaces in the order of their ids, so that two groups
    /// cannot deadlock on their head rows. `now` is the server's clock, `catalog` the version that the ops were judged by.
    ///
    /// It is one statement that commits by itself: one round trip, and an error other than
    /// [`StoreError::CommitUnknown`] means that nothing is stored.
    pub async fn append(
        &self,
        now: UnixMs,
        catalog: CatalogVersion,
        batches: &[(WorkspaceId, &AppendBatch)],
    ) -> Result<Vec<Appended>, StoreError> {
        let client = self.client().await?;
        let appended = timeout(RESPONSE_TIMEOUT, append_with(&client, now, catalog, batches)).await;
        appended_or_close(client, appended)
    }

    /// [`Store::append`] in a transaction that is committed by a statement of its own, still in one round trip. `written` is
    /// called once the rows are written, or could not be, while the commit is under way.
    pub async fn append_then_commit(
        &self,
        now: UnixMs,
        catalog: CatalogVersion,
        batches: &[(WorkspaceId, &AppendBatch)],
        written: impl FnOnce() + Send,
    ) -> Result<Vec<Appended>, StoreError> {
        let client = self.client().await?;
        // All three are sent before the first response. So the statement has to be known already.
        let in_turn = async {
            client.prepare_cached(APPEND_SQL).await?;
            let append = async {
                let appended = append_with(&client, now, catalog, batches).await;
                written();
                appended
            };
            let (_, appended, committed) =
                join3(client.batch_execute("BEGIN"), append, client.batch_execute("COMMIT")).await;
            // If the append failed, the transaction was rolled back. If BEGIN failed, so did the others.
            let appended = appended?;
            committed.map_err(StoreError::of_commit)?;
            Ok(appended)
        };
        let appended = timeout(RESPONSE_TIMEOUT, in_turn).await;
        appended_or_close(client, appended)
    }
}

/// The outcomes of an append. Without a response in time the connection is closed: the statement may still be running on it.
fn appended_or_close(
    client: Object,
    appended: Result<Result<Vec<Appended>, StoreError>, Elapsed>,
) -> Result<Vec<Appended>, StoreError> {
    appended.unwrap_or_else(|_| {
        drop(Object::take(client));
        Err(StoreError::CommitUnknown("the database does not answer".to_owned()))
    })
}

/// [`Store::append`] on a given connection, or within a transaction that its caller commits.
pub(crate) async fn append_with(
    client: &impl GenericClient,
    now: UnixMs,
    catalog: CatalogVersion,
    batches: &[(WorkspaceId, &AppendBatch)],
) -> Result<Vec<Appended>, StoreError> {
    let AppendRows { batches: batch_rows, ops } = AppendRows::of(batches);
    // A failure to prepare is no lost commit: the statement was not sent yet.
    let statement = client.prepare_cached(APPEND_SQL).await?;
    let rows = client.query(&statement, &[&now.0, &catalog.0, &batch_rows, &ops]).await;
    let rows = rows.map_err(StoreError::of_commit)?;
    rows.iter().zip(batches).map(|(row, (_, batch))| Ok(appended_of(row, batch)?)).collect()
}

/// The result in a row of `tidelog.append`.
fn appended_of(row: &Row, batch: &AppendBatch) -> Result<Appended, tokio_postgres::Error> {
    let last_seq: i64 = row.try_get("last_seq")?;
    let status = match row.try_get("status")? {
        "appended" => stored_of(row, batch, last_seq)?,
        "revoked" => AppendStatus::Revoked,
        "catalog_stale" => AppendStatus::CatalogStale,
        "cursor_ahead" => AppendStatus::CursorAhead,
        "cursor_diverged" => AppendStatus::CursorDiverged,
        "seq_gap" => AppendStatus::SeqGap(Seq(last_seq + 1)),
        "seq_differs" => AppendStatus::SeqDiffers,
        "base_ahead" => AppendStatus::BaseAhead,
        _ => AppendStatus::Unregistered,
    };
    Ok(Appended { status, head: Position(row.try_get::<_, Option<i64>>("head")?.unwrap_or(0)) })
}

/// The positions of an appended batch: first the ops that were stored before, then the new ones, which are adjacent.
fn stored_of(row: &Row, batch: &AppendBatch, last_seq: i64) -> Result<AppendStatus, tokio_postgres::Error> {
    let stored_seqs = row.try_get::<_, Option<Vec<i64>>>("stored_seqs")?.unwrap_or_default();
    let stored_positions = row.try_get::<_, Option<Vec<i64>>>("stored_positions")?.unwrap_or_default();
    let stored_rejected = row.try_get::<_, Option<Vec<String>>>("stored_rejected")?.unwrap_or_default();
    let shift: i64 = row.try_get("shift")?;
    let mut runs: Vec<StoredRun> = Vec::new();
    let mut push = |seq: i64, position: i64| match runs.last_mut() {
        Some(run) if run.seq.0 + run.count == seq && run.position.0 + run.count == position => run.count += 1,
        _ => runs.push(StoredRun { seq: Seq(seq), count: 1, position: Position(position) }),
    };
    for (seq, position) in stored_seqs.iter().zip(&stored_positions) {
        push(*seq, *position);
    }
    for judged in batch.ops.iter().skip(stored_seqs.len()) {
        push(judged.op.seq.0, judged.op.seq.0 + shift);
    }
    let duplicates =
        stored_seqs.into_iter().zip(stored_rejected).map(|(seq, code)| (Seq(seq), RejectCode::parse(&code))).collect();
    Ok(AppendStatus::Appended { last_seq, runs, duplicates })
}
