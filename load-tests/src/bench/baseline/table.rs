//! The tables of the baselines of push.

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::column_value::ColumnValue;
use super::row::EventRow;
use crate::bench::generator::payloads::TABLE;

/// The reference table: what any log of operations with these two keys has to write. It is never changed, so that ratios to
/// it can be compared over the years.
const REFERENCE: &str = "CREATE SCHEMA IF NOT EXISTS bench;
    CREATE TABLE bench.reference (
        workspace uuid NOT NULL,
        position bigint NOT NULL,
        device uuid NOT NULL,
        seq bigint NOT NULL,
        \"table\" text NOT NULL,
        record uuid NOT NULL,
        payload bytea NOT NULL,
        received_at bigint NOT NULL,
        PRIMARY KEY (workspace, position),
        UNIQUE (workspace, device, seq)
    )";
/// A copy of the server's table of the log, with its indexes.
const OURS: &str = "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE bench.ours (LIKE tidelog.log INCLUDING ALL)";

/// A table that rows are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum BaselineTable {
    /// The reference table.
    Reference,
    /// A copy of the server's own table.
    Ours,
}

/// A table that exists, with its columns.
#[derive(Debug)]
pub(super) struct Table {
    /// The name of the table, with its schema.
    pub(super) name: &'static str,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    column_type: Type,
    value_of: ColumnSource,
}

/// The value of a column in a row. It is looked up by the name of the column once, not for each row.
type ColumnSource = for<'a> fn(&EventRow<'a>) -> ColumnValue<'a>;

impl BaselineTable {
    /// The table's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reference => "bench.reference",
            Self::Ours => "bench.ours",
        }
    }

    /// Creates the table, without rows.
    pub(super) async fn create(self, client: &Client) -> Result<Table> {
        let sql = match self {
            Self::Reference => REFERENCE,
            Self::Ours => OURS,
        };
        client.batch_execute(sql).await.with_context(|| format!("creating {}", self.name()))?;
        Table::read(client, self.name()).await
    }
}

impl Table {
    /// Reads the columns of a table that exists.
    pub(super) async fn read(client: &Client, name: &'static str) -> Result<Self> {
        let sql = "SELECT attname::text, NOT attnotnull FROM pg_attribute
            WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
            ORDER BY attnum";
        let rows = client.query(sql, &[&name]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let types = client.prepare(&format!("SELECT {} FROM {name}", quoted.join(", "))).await?;
        let columns = rows.iter().zip(names).zip(types.columns()).map(|((row, name), column)| {
            let value_of = source_of(&name, row.try_get(1)?);
            Ok(Column { name, column_type: column.type_().clone(), value_of })
        });
        Ok(Self { name, columns: columns.collect::<Result<_>>()? })
    }

    /// The names of the columns as a list in SQL.
    pub(super) fn columns(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        quoted.join(", ")
    }

    /// The types of the columns.
    pub(super) fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|column| column.column_type.clone()).collect()
    }

    /// A row's values in the order of the columns.
    pub(super) fn values<'a>(&self, row: &EventRow<'a>) -> Vec<ColumnValue<'a>> {
        self.columns.iter().map(|column| (column.value_of)(row)).collect()
    }
}

/// The source of a column. An unknown column gets null, or the empty value of its type if it is not nullable.
fn source_of(column: &str, is_nullable: bool) -> ColumnSource {
    match column {
        "workspace" => |row| ColumnValue::Uuid(row.workspace),
        "device" => |row| ColumnValue::Uuid(row.device),
        "record" => |row| ColumnValue::Uuid(row.record),
        "position" => |row| ColumnValue::Int(row.position),
        "seq" => |row| ColumnValue::Int(row.seq),
        "batch" => |row| ColumnValue::Int(row.batch),
        "base" => |row| ColumnValue::Int(row.batch - 1),
        "at_ms" | "received_at_ms" | "received_at" => |row| ColumnValue::Int(1_795_163_400_000 + row.position),
        // As random as a digest.
        "digest" => |row| ColumnValue::Int(row.record.as_u64_pair().0.cast_signed()),
        "kind" => |_| ColumnValue::Int(1),
        "table" | "table_name" => |_| ColumnValue::Text(TABLE),
        "role" => |_| ColumnValue::Text("member"),
        "scope" | "actor" => |_| ColumnValue::Text(""),
        "fields" | "payload" => |row| ColumnValue::Bytes(row.fields),
        _ if is_nullable => |_| ColumnValue::Null,
        _ => |_| ColumnValue::Empty,
    }
}
