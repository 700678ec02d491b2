//! A group of batches as the parameters of the old form of `tidelog.append`: an array per column.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The parameters, in their order.
#[derive(Debug, Default)]
pub(crate) struct Group {
    now_ms: i64,
    catalog_version: i64,
    workspaces: Vec<Uuid>,
    devices: Vec<Uuid>,
    roles: Vec<&'static str>,
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
    tables: Vec<&'static str>,
    records: Vec<String>,
    scopes: Vec<&'static str>,
    actors: Vec<&'static str>,
    conflicts: Vec<&'static str>,
    rejected: Vec<&'static str>,
    fields: Vec<Vec<u8>>,
}

/// A batch of the group.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) workspace: Uuid,
    pub(crate) device: Uuid,
    pub(crate) first_seq: i64,
    pub(crate) cursor: Option<(i64, i64)>,
    pub(crate) ops: Vec<Op>,
}

/// An op of a batch.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) base: i64,
    pub(crate) at_ms: Option<i64>,
    pub(crate) digest: i64,
    pub(crate) kind: i16,
    pub(crate) rejected: &'static str,
    pub(crate) fields: Vec<u8>,
}

impl Group {
    pub(crate) fn new(now_ms: i64, catalog_version: i64) -> Self {
        Self { now_ms, catalog_version, ..Self::default() }
    }

    pub(crate) fn push(&mut self, batch: Batch) {
        let same = self.workspaces.iter().zip(&self.counts).filter(|(workspace, _)| **workspace == batch.workspace);
        self.befores.push(same.map(|(_, count)| count).sum());
        self.workspaces.push(batch.workspace);
        self.devices.push(batch.device);
        self.roles.push(if batch.device.is_nil() { "manager" } else { "member" });
        self.first_seqs.push(batch.first_seq);
        self.counts.push(batch.ops.len() as i64);
        self.first_ops.push(self.seqs.len() as i32 + 1);
        self.bases_max.push(batch.ops.iter().map(|op| op.base).max().unwrap_or(0));
        self.cursors.push(batch.cursor.map(|(position, _)| position));
        self.checks.push(batch.cursor.map(|(_, check)| check));
        let number = self.workspaces.len() as i32;
        for (seq, op) in (batch.first_seq..).zip(batch.ops) {
            self.op_batches.push(number);
            self.seqs.push(seq);
            self.bases.push(op.base);
            self.ats_ms.push(op.at_ms);
            self.digests.push(op.digest);
            self.kinds.push(op.kind);
            self.tables.push("notes");
            self.records.push(format!("n{seq}"));
            self.scopes.push(if op.kind == 2 { "store-1" } else { "" });
            self.actors.push(if op.kind == 1 { "ada" } else { "" });
            self.conflicts.push(if op.kind == 3 { "1.text" } else { "" });
            self.rejected.push(op.rejected);
            self.fields.push(op.fields);
        }
    }

    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 25] {
        [
            &self.now_ms,
            &self.catalog_version,
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
