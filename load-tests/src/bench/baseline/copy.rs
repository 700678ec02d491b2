//! The baseline of pushes of many ops: COPY of the same rows in binary format.

use std::sync::Arc;

use anyhow::Result;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;

use super::row::RowGenerator;
use super::table::{BaselineTable, Table};
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads;
use crate::bench::measure::{Clients, LoadControl};

/// How rows are copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyLoad {
    /// The table that they are copied into.
    pub(crate) table: BaselineTable,
    /// Connections that copy at the same time.
    pub(crate) connections: usize,
    /// Rows of a transaction.
    pub(crate) rows: usize,
    /// Rows of a batch: consecutive rows of the same device.
    pub(crate) batch: i64,
}

/// Creates the table and starts to copy into it. Returns the name of the table and the clients.
pub(crate) async fn start(
    database: &Database,
    devices: &[Device],
    load: CopyLoad,
    control: &Arc<LoadControl>,
) -> Result<(&'static str, Clients)> {
    let table = Arc::new(load.table.create(&database.connect().await?).await?);
    let fields = Arc::new(payloads::fields()?);
    let mut clients = Clients::new();
    for connection in 0..load.connections {
        let devices = devices.iter().skip(connection).step_by(load.connections).cloned();
        let rows = RowGenerator::new(&fields, devices, load.batch);
        let (table, database, control) = (Arc::clone(&table), database.clone(), Arc::clone(control));
        clients.spawn(async move { copy(&database, &table, rows, load.rows, &control).await });
    }
    Ok((table.name, clients))
}

async fn copy(
    database: &Database,
    table: &Table,
    mut rows: RowGenerator,
    rows_each: usize,
    control: &LoadControl,
) -> Result<()> {
    let client = database.connect().await?;
    let statement = format!("COPY {} ({}) FROM STDIN BINARY", table.name, table.columns());
    let (statement, types) = (client.prepare(&statement).await?, table.types());
    while !control.is_stopped() {
        rows.begin_transaction();
        let writer = BinaryCopyInWriter::new(client.copy_in(&statement).await?, &types);
        let mut writer = std::pin::pin!(writer);
        for _ in 0..rows_each {
            let values = table.values(&rows.next_row());
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            writer.as_mut().write(&values).await?;
        }
        writer.finish().await?;
        control.add(rows_each as u64);
    }
    Ok(())
}
