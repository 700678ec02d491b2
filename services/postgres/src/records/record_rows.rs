//! Records as a step writes them: column by column, into arrays or into the rows of a COPY.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::Transaction;
use futures_util::SinkExt;
use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Record, RecordKey};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::array_params::Column;
use crate::db::array_params::Params;

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

    /// Writes them by COPY, which refuses what is stored, as a plain insert does. How many there were.
    pub(crate) async fn copy(
        &self,
        transaction: &Transaction<'_>,
        workspace: &Uuid,
        table_set: &i16,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = transaction.prepare_cached(include_str!("../../sql/records/record_rows/copy.sql")).await?;
        let mut rows = pin!(transaction.copy_in::<_, Bytes>(&statement).await?);
        rows.send(self.binary(workspace, table_set)).await?;
        rows.finish().await
    }

    /// The rows as [COPY BINARY](https://www.postgresql.org/docs/15/sql-copy.html) reads them: a signature, flags and the
    /// length of nothing; of each row how many columns it has, and each column's length and bytes; in place of another
    /// row -1.
    fn binary(&self, workspace: &Uuid, table_set: &i16) -> Bytes {
        let columns = self.columns();
        let held: usize = columns.iter().map(|column| column.bytes()).sum();
        let mut out = BytesMut::with_capacity(64 + held + self.len() * 32);
        out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        let mut columns = columns.map(Column::elements);
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

    /// All of them, in the order of the statements that write them, behind workspace and table set.
    fn columns(&self) -> [&Column; 10] {
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

/// Of tables, scopes and records.
pub(crate) fn texts() -> (Column, Column, Column) {
    (Column::of(Type::TEXT), Column::of(Type::TEXT), Column::of(Type::TEXT))
}
