//! Records as a step writes them: column by column, as array parameters of a statement or as the rows of a COPY.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::Transaction;
use futures_util::SinkExt;
use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Record, RecordKey};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::array_params::{ArrayParam, Params};

/// Records, each once.
#[derive(Debug)]
pub struct RecordRows {
    tables: ArrayParam,
    scopes: ArrayParam,
    records: ArrayParam,
    versions: ArrayParam,
    touched: ArrayParam,
    updated_at_ms: ArrayParam,
    deleted: ArrayParam,
    open_conflicts: ArrayParam,
    fields: ArrayParam,
    states: ArrayParam,
}

impl RecordRows {
    /// No records.
    pub fn new() -> Self {
        let [tables, scopes, records] = address_params();
        Self {
            tables,
            scopes,
            records,
            versions: ArrayParam::of(Type::INT8),
            touched: ArrayParam::of(Type::INT8),
            updated_at_ms: ArrayParam::of(Type::INT8),
            deleted: ArrayParam::of(Type::BOOL),
            open_conflicts: ArrayParam::of(Type::INT4),
            fields: ArrayParam::of(Type::BYTEA),
            states: ArrayParam::of(Type::BYTEA),
        }
    }

    /// Adds a record. Returns its hash in the digest of its table, or `None` for a tombstone, which no digest includes.
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

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parameters of the statements that insert them.
    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 12> {
        let [tables, scopes, records, versions, touched, updated_at_ms, deleted, open_conflicts, fields, states] =
            self.columns();
        [
            workspace,
            table_set,
            tables,
            scopes,
            records,
            versions,
            touched,
            updated_at_ms,
            deleted,
            open_conflicts,
            fields,
            states,
        ]
    }

    /// Inserts the records by COPY and returns how many. A record that has a row is an error, as for a plain insert.
    pub(crate) async fn copy(
        &self,
        transaction: &Transaction<'_>,
        workspace: &Uuid,
        table_set: &i16,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement =
            transaction.prepare_cached(include_str!("../../../sql/records/write_step/copy_records.sql")).await?;
        let mut rows = pin!(transaction.copy_in::<_, Bytes>(&statement).await?);
        rows.send(self.binary_rows(workspace, table_set)).await?;
        rows.finish().await
    }

    /// The rows in the format of [COPY BINARY](https://www.postgresql.org/docs/15/sql-copy.html): a signature, flags
    /// and the length of an empty header extension; for each row the number of its columns, and the length and bytes of
    /// each; -1 after the last row.
    fn binary_rows(&self, workspace: &Uuid, table_set: &i16) -> Bytes {
        let columns = self.columns();
        let columns_bytes: usize = columns.iter().map(|column| column.bytes()).sum();
        let mut out = BytesMut::with_capacity(64 + columns_bytes + self.len() * 32);
        out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        let mut columns = columns.map(ArrayParam::elements);
        for _ in 0..self.len() {
            out.put_i16(2 + columns.len() as i16);
            out.put_i32(16);
            out.put_slice(workspace.as_bytes());
            out.put_i32(2);
            out.put_i16(*table_set);
            for column in &mut columns {
                out.put_slice(column.next().unwrap_or_default());
            }
        }
        out.put_i16(-1);
        out.freeze()
    }

    /// The columns in the order of the statements that write them, where they follow workspace and table set.
    fn columns(&self) -> [&ArrayParam; 10] {
        [
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

/// Empty columns for the addresses of records: tables, scopes and record ids.
pub(crate) fn address_params() -> [ArrayParam; 3] {
    [ArrayParam::of(Type::TEXT), ArrayParam::of(Type::TEXT), ArrayParam::of(Type::TEXT)]
}
