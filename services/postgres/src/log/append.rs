//! The one way into the log: waiting batches, of one workspace or several, in one round trip.

use deadpool_postgres::{GenericClient, Object};
use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::{CatalogVersion, DeviceId, Position, Role, Seq, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_core::value::PackedFields;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::db::error::StoreError;
use crate::db::pool::{RESPONSE_TIMEOUT, Store};

/// A push that has been read and judged, as it goes to the log.
#[derive(Debug, Clone)]
pub struct AppendBatch {
    /// Who pushes.
    pub device: DeviceId,
    /// Its role, kept with each event.
    pub role: Role,
    /// The cursor it sent, to be checked under the lock.
    pub cursor: Option<Cursor>,
    /// Its ops, ascending by one.
    pub ops: Vec<JudgedOp>,
}

/// An op with what the log keeps beside it.
#[derive(Debug, Clone)]
pub struct JudgedOp {
    /// The op.
    pub op: Op,
    /// Its effective base.
    pub base: Position,
    /// Its digest.
    pub digest: Digest,
    /// Why it has no effect, if it has none.
    pub rejected: Option<RejectCode>,
}

impl JudgedOp {
    /// Its fields as the log keeps them: empty without fields, or where they are too large to keep.
    pub fn stored_fields(&self) -> &[u8] {
        match self.rejected {
            Some(RejectCode::FieldsTooLarge) => &[],
            Some(_) | None => self.op.intent.fields().map_or(&[], PackedFields::as_bytes),
        }
    }
}

/// What the log said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The outcome.
    pub status: AppendStatus,
    /// The workspace's last position after it.
    pub head: Position,
}

/// The expected outcomes of an append: values, since each has its own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendStatus {
    /// Every op of the batch is in the log (LOG-2).
    Appended {
        /// The device's last seq now.
        last_seq: i64,
        /// Where the ops stand, in seq order.
        runs: Vec<StoredRun>,
        /// The ops that were there before, with their first verdicts.
        duplicates: Vec<(Seq, Option<RejectCode>)>,
    },
    /// The workspace has no such device.
    Unregistered,
    /// The device may no longer push.
    Revoked,
    /// Another catalog is in force than the one it was judged under.
    CatalogStale,
    /// The cursor lies past the head.
    CursorAhead,
    /// The event at the cursor is another one.
    CursorDiverged,
    /// Ops before the batch are missing: the first missing seq.
    SeqGap(Seq),
    /// A stored op under one of these seqs has another digest.
    SeqDiffers,
    /// An op's base lies past the head.
    BaseAhead,
}

/// Ops that stand side by side: op `seq + i` is at `position + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRun {
    /// The first op.
    pub seq: Seq,
    /// How many.
    pub count: i64,
    /// The first op's place.
    pub position: Position,
}

impl Store {
    /// Appends batches, each of another device; the answers in the order of the batches. Those of one workspace have to
    /// stand side by side and the workspaces in id order, so that two groups never wait for each other's head rows.
    ///
    /// One statement that commits by itself: one round trip, and nothing of it is stored if it fails. `now` is the
    /// server's clock, `catalog` the version the ops were judged under.
    pub async fn append(
        &self,
        now: UnixMs,
        catalog: CatalogVersion,
        batches: &[(WorkspaceId, &AppendBatch)],
    ) -> Result<Vec<Appended>, StoreError> {
        let client = self.client().await?;
        let appended = timeout(RESPONSE_TIMEOUT, append_with(&client, now, catalog, batches)).await;
        appended.unwrap_or_else(|_| {
            // Nobody knows what this connection still does.
            drop(Object::take(client));
            Err(StoreError::CommitUnknown("the database does not answer".to_owned()))
        })
    }
}

/// The same by a connection, or in a transaction that commits it.
pub(crate) async fn append_with(
    client: &impl GenericClient,
    now: UnixMs,
    catalog: CatalogVersion,
    batches: &[(WorkspaceId, &AppendBatch)],
) -> Result<Vec<Appended>, StoreError> {
    let columns = Columns::of(batches);
    // What fails before the statement is sent has stored nothing.
    let statement = client.prepare_cached(include_str!("../../sql/log/append/append.sql")).await?;
    let rows = client.query(&statement, &columns.params(&now.0, &catalog.0)).await.map_err(StoreError::of_commit)?;
    rows.iter().zip(batches).map(|(row, (_, batch))| Ok(response_of(row, batch)?)).collect()
}

fn response_of(row: &Row, batch: &AppendBatch) -> Result<Appended, tokio_postgres::Error> {
    let last_seq: i64 = row.try_get("last_seq")?;
    let status = match row.try_get("status")? {
        "appended" => appended_of(row, batch, last_seq)?,
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

fn appended_of(row: &Row, batch: &AppendBatch, last_seq: i64) -> Result<AppendStatus, tokio_postgres::Error> {
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

/// The batches as the arrays that the append function takes.
#[derive(Default)]
struct Columns<'a> {
    workspaces: Vec<uuid::Uuid>,
    devices: Vec<uuid::Uuid>,
    roles: Vec<&'a str>,
    first_seqs: Vec<i64>,
    counts: Vec<i64>,
    first_ops: Vec<i32>,
    befores: Vec<i64>,
    bases_max: Vec<i64>,
    cursors: Vec<Option<i64>>,
    checks: Vec<Option<i64>>,
    op_batches: Vec<i32>,
    seqs: Vec<i64>,
    bases: Vec<i64>,
    ats_ms: Vec<Option<i64>>,
    digests: Vec<i64>,
    kinds: Vec<i16>,
    tables: Vec<&'a str>,
    records: Vec<&'a str>,
    scopes: Vec<&'a str>,
    actors: Vec<&'a str>,
    conflicts: Vec<&'a str>,
    rejected: Vec<&'static str>,
    fields: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(batches: &[(WorkspaceId, &'a AppendBatch)]) -> Self {
        let (mut columns, mut before) = (Self::default(), 0);
        for (number, (workspace, batch)) in (1..).zip(batches) {
            columns.devices.push(batch.device.0);
            columns.roles.push(batch.role.as_str());
            columns.first_seqs.push(batch.ops.first().map_or(1, |judged| judged.op.seq.0));
            columns.counts.push(batch.ops.len() as i64);
            before = if columns.workspaces.last() == Some(&workspace.0) { before } else { 0 };
            columns.befores.push(before);
            before += batch.ops.len() as i64;
            columns.workspaces.push(workspace.0);
            columns.first_ops.push(columns.seqs.len() as i32 + 1);
            columns.bases_max.push(batch.ops.iter().map(|judged| judged.base.0).max().unwrap_or(0));
            columns.cursors.push(batch.cursor.map(|cursor| cursor.position.0));
            columns.checks.push(batch.cursor.map(|cursor| cursor.check.0));
            for judged in &batch.ops {
                columns.push(number, judged);
            }
        }
        columns
    }

    fn push(&mut self, batch: i32, judged: &'a JudgedOp) {
        let op = &judged.op;
        self.op_batches.push(batch);
        self.seqs.push(op.seq.0);
        self.bases.push(judged.base.0);
        self.ats_ms.push(op.at.map(|at| at.0));
        self.digests.push(judged.digest.0);
        self.kinds.push(op.intent.kind() as i16);
        self.tables.push(op.table.as_str());
        self.records.push(op.record.as_str());
        self.scopes.push(op.scope.as_str());
        self.actors.push(op.actor.as_str());
        self.conflicts.push(op.intent.conflict().map_or("", |conflict| conflict.as_str()));
        self.rejected.push(judged.rejected.map_or("", RejectCode::as_str));
        self.fields.push(judged.stored_fields());
    }

    /// In the order of the function's parameters.
    fn params<'b>(&'b self, now_ms: &'b i64, catalog: &'b i64) -> [&'b (dyn ToSql + Sync); 25] {
        [
            now_ms,
            catalog,
            &self.workspaces,
            &self.devices,
            &self.roles,
            &self.first_seqs,
            &self.counts,
            &self.first_ops,
            &self.befores,
            &self.bases_max,
            &self.cursors,
            &self.checks,
            &self.op_batches,
            &self.seqs,
            &self.bases,
            &self.ats_ms,
            &self.digests,
            &self.kinds,
            &self.tables,
            &self.records,
            &self.scopes,
            &self.actors,
            &self.conflicts,
            &self.rejected,
            &self.fields,
        ]
    }
}
