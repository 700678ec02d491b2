//! The arrays of rows that `tidelog.append` takes. Their composite types are in the schema, which describes the columns.

use postgres_types::ToSql;
use tidelog_core::ids::WorkspaceId;
use tidelog_core::judge::RejectCode;
use uuid::Uuid;

use crate::log::append::batch::{AppendBatch, JudgedOp};

/// A group of batches as the parameters of `tidelog.append`.
pub(crate) struct AppendRows<'a> {
    /// A row per batch.
    pub(crate) batches: Vec<BatchRow<'a>>,
    /// A row per op, batch after batch.
    pub(crate) ops: Vec<OpRow<'a>>,
}

/// A `tidelog.append_batch`.
#[derive(Debug, ToSql)]
#[postgres(name = "append_batch")]
pub(crate) struct BatchRow<'a> {
    workspace: Uuid,
    device: Uuid,
    role: &'a str,
    first_seq: i64,
    op_count: i64,
    first_op: i32,
    ops_before: i64,
    base_max: i64,
    cursor_position: Option<i64>,
    cursor_check: Option<i64>,
}

/// A `tidelog.append_op`.
#[derive(Debug, ToSql)]
#[postgres(name = "append_op")]
pub(crate) struct OpRow<'a> {
    batch: i32,
    seq: i64,
    base: i64,
    at_ms: Option<i64>,
    digest: i64,
    kind: i16,
    table_name: &'a str,
    record: &'a str,
    scope: &'a str,
    actor: &'a str,
    conflict: &'a str,
    rejected: &'static str,
    fields: &'a [u8],
}

impl<'a> AppendRows<'a> {
    pub(crate) fn of(batches: &[(WorkspaceId, &'a AppendBatch)]) -> Self {
        let op_count = batches.iter().map(|(_, batch)| batch.ops.len()).sum();
        let mut rows = Self { batches: Vec::with_capacity(batches.len()), ops: Vec::with_capacity(op_count) };
        for (number, (workspace, batch)) in (1..).zip(batches) {
            let row = rows.batch_row(workspace.0, batch);
            rows.batches.push(row);
            rows.ops.extend(batch.ops.iter().map(|judged| OpRow::of(number, judged)));
        }
        rows
    }

    /// The row of the batch that follows the ones that are in the arrays already.
    fn batch_row(&self, workspace: Uuid, batch: &'a AppendBatch) -> BatchRow<'a> {
        let before = self.batches.last().filter(|before| before.workspace == workspace);
        BatchRow {
            workspace,
            device: batch.device.0,
            role: batch.role.as_str(),
            first_seq: batch.ops.first().map_or(1, |judged| judged.op.seq.0),
            op_count: batch.ops.len() as i64,
            first_op: self.ops.len() as i32 + 1,
            ops_before: before.map_or(0, |before| before.ops_before + before.op_count),
            base_max: batch.ops.iter().map(|judged| judged.base.0).max().unwrap_or(0),
            cursor_position: batch.cursor.map(|cursor| cursor.position.0),
            cursor_check: batch.cursor.map(|cursor| cursor.check.0),
        }
    }
}

impl<'a> OpRow<'a> {
    fn of(batch: i32, judged: &'a JudgedOp) -> Self {
        let op = &judged.op;
        Self {
            batch,
            seq: op.seq.0,
            base: judged.base.0,
            at_ms: op.at.map(|at| at.0),
            digest: judged.digest.0,
            kind: op.intent.kind() as i16,
            table_name: op.table.as_str(),
            record: op.record.as_str(),
            scope: op.scope.as_str(),
            actor: op.actor.as_str(),
            conflict: op.intent.conflict().map_or("", |conflict| conflict.as_str()),
            rejected: judged.rejected.map_or("", RejectCode::as_str),
            fields: judged.stored_fields(),
        }
    }
}
