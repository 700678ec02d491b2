//! The tables that rows go into, and the rows: the same events as the server stores, made without it.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::cell::Cell;
use crate::bench::bodies::{self, TABLE};
use crate::bench::fleet::Device;

/// The reference table: what any log of operations with these two keys has to write. Never changed, so that ratios to it
/// compare over the years.
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
/// The server's own table with its indexes.
const OURS: &str = "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE bench.ours (LIKE tidelog.log INCLUDING ALL)";

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The reference table.
    Reference,
    /// A copy of the server's own.
    Ours,
}

/// A table with its columns.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name with its schema.
    pub(super) name: &'static str,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    column_type: Type,
    source: Source,
}

/// Where a column's value is taken from; found once, since rows are many.
type Source = for<'a> fn(&Row<'a>) -> Cell<'a>;

impl Target {
    /// The table's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reference => "bench.reference",
            Self::Ours => "bench.ours",
        }
    }

    /// Makes the table, empty.
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
    /// Reads the columns of a table that is there.
    pub(super) async fn read(client: &Client, name: &'static str) -> Result<Self> {
        let sql = "SELECT attname::text, NOT attnotnull FROM pg_attribute
            WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
            ORDER BY attnum";
        let rows = client.query(sql, &[&name]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let types = client.prepare(&format!("SELECT {} FROM {name}", quoted.join(", "))).await?;
        let columns = rows.iter().zip(names).zip(types.columns()).map(|((row, name), column)| {
            let source = source_of(&name, row.try_get(1)?);
            Ok(Column { name, column_type: column.type_().clone(), source })
        });
        Ok(Self { name, columns: columns.collect::<Result<_>>()? })
    }

    /// The names of the columns, for a statement.
    pub(super) fn columns(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        quoted.join(", ")
    }

    /// The types of the columns.
    pub(super) fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|column| column.column_type.clone()).collect()
    }

    /// A row's values in the order of the columns.
    pub(super) fn cells<'a>(&self, row: &Row<'a>) -> Vec<Cell<'a>> {
        self.columns.iter().map(|column| (column.source)(row)).collect()
    }
}

/// An event as a row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    workspace: Uuid,
    device: Uuid,
    record: Uuid,
    position: i64,
    seq: i64,
    batch: i64,
    fields: &'a [u8],
}

/// A column that nobody here knows gets null, or the least of its type.
fn source_of(column: &str, is_nullable: bool) -> Source {
    match column {
        "workspace" => |row| Cell::Uuid(row.workspace),
        "device" => |row| Cell::Uuid(row.device),
        "record" => |row| Cell::Uuid(row.record),
        "position" => |row| Cell::Int(row.position),
        "seq" => |row| Cell::Int(row.seq),
        "batch" => |row| Cell::Int(row.batch),
        "base" => |row| Cell::Int(row.batch - 1),
        "at_ms" | "received_at_ms" | "received_at" => |row| Cell::Int(1_795_163_400_000 + row.position),
        // As scattered as a digest.
        "digest" => |row| Cell::Int(row.record.as_u64_pair().0.cast_signed()),
        "kind" => |_| Cell::Int(1),
        "table" | "table_name" => |_| Cell::Text(TABLE),
        "role" => |_| Cell::Text("member"),
        "scope" | "actor" => |_| Cell::Text(""),
        "fields" | "payload" => |row| Cell::Bytes(row.fields),
        _ if is_nullable => |_| Cell::Null,
        _ => |_| Cell::Least,
    }
}

/// Makes the rows of some devices, which take turns batch by batch; each is in a workspace that no other maker has.
#[derive(Debug)]
pub(super) struct Maker {
    fields: Arc<Vec<Vec<u8>>>,
    devices: Vec<(Device, i64)>,
    turn: usize,
    batch: i64,
    left_in_batch: i64,
}

impl Maker {
    /// Rows of these devices, each of which pushes batches of so many.
    pub(super) fn new(fields: &Arc<Vec<Vec<u8>>>, devices: impl Iterator<Item = Device>, batch: i64) -> Self {
        let devices = devices.map(|device| (device, 0)).collect();
        Self { fields: Arc::clone(fields), devices, turn: 0, batch, left_in_batch: batch }
    }

    /// The next row.
    pub(super) fn row(&mut self) -> Row<'_> {
        if self.left_in_batch == 0 {
            (self.turn, self.left_in_batch) = ((self.turn + 1) % self.devices.len(), self.batch);
        }
        self.left_in_batch -= 1;
        let (device, seq) = &mut self.devices[self.turn];
        *seq += 1;
        let record = bodies::record_of(device.device, seq.cast_unsigned(), u64::MAX);
        let fields = &self.fields[(record.as_u64_pair().1 % self.fields.len() as u64) as usize];
        let batch = *seq - (self.batch - 1 - self.left_in_batch);
        Row { workspace: device.workspace, device: device.device, record, position: *seq, seq: *seq, batch, fields }
    }

    /// A new transaction begins with a batch of its own.
    pub(super) fn begin(&mut self) {
        if self.left_in_batch < self.batch {
            self.left_in_batch = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_take_turns_and_positions_are_dense() {
        let device = |number| Device {
            workspace: Uuid::from_u128(number),
            device: Uuid::from_u128(number),
            token: String::new(),
        };
        let fields = Arc::new(vec![vec![1], vec![2]]);
        let mut maker = Maker::new(&fields, [device(1), device(2)].into_iter(), 2);
        let mut next = |begins: bool| {
            if begins {
                maker.begin();
            }
            let row = maker.row();
            (row.workspace.as_u128(), row.position, row.batch)
        };
        let rows = [next(true), next(false), next(false), next(true), next(false), next(false)];
        assert_eq!(rows, [(1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 3, 3), (1, 4, 3), (2, 2, 2)]);
    }
}
