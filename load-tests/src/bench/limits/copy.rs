//! The limit of a push of many ops: COPY of the same rows in binary form, and nothing else.

use std::sync::Arc;

use anyhow::Result;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;

use super::table::{Maker, Table, Target};
use crate::bench::bodies;
use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::measure::{Clients, Pace};

/// How the rows go in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Into which table.
    pub(crate) target: Target,
    /// Over so many connections.
    pub(crate) connections: usize,
    /// Rows of each transaction.
    pub(crate) rows: usize,
    /// Rows of a device that come together.
    pub(crate) batch: i64,
}

/// Starts copying into a new table; its name.
pub(crate) async fn start(
    database: &Database,
    devices: &[Device],
    shape: Shape,
    pace: &Arc<Pace>,
) -> Result<(&'static str, Clients)> {
    let table = Arc::new(shape.target.create(&database.connect().await?).await?);
    let fields = Arc::new(bodies::fields()?);
    let mut clients = Clients::new();
    for connection in 0..shape.connections {
        let mine = devices.iter().skip(connection).step_by(shape.connections).cloned();
        let maker = Maker::new(&fields, mine, shape.batch);
        let (table, database, pace) = (Arc::clone(&table), database.clone(), Arc::clone(pace));
        clients.spawn(async move { copy(&database, &table, maker, shape.rows, &pace).await });
    }
    Ok((table.name, clients))
}

async fn copy(database: &Database, table: &Table, mut maker: Maker, rows: usize, pace: &Pace) -> Result<()> {
    let client = database.connect().await?;
    let statement = format!("COPY {} ({}) FROM STDIN BINARY", table.name, table.columns());
    let (statement, types) = (client.prepare(&statement).await?, table.types());
    while !pace.is_over() {
        maker.begin();
        let writer = BinaryCopyInWriter::new(client.copy_in(&statement).await?, &types);
        let mut writer = std::pin::pin!(writer);
        for _ in 0..rows {
            let cells = table.cells(&maker.row());
            let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as _).collect();
            writer.as_mut().write(&cells).await?;
        }
        writer.finish().await?;
        pace.add(rows as u64);
    }
    Ok(())
}
