//! The limit of a push of one op: a single row inserted and committed by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::table::{Maker, Table, Target};
use crate::bench::bodies;
use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::latency::{Latencies, Schedule, send_on_schedule};
use crate::bench::measure::{Clients, Pace};
use crate::bench::push;

/// Until the clients have started, in an open loop.
const START: Duration = Duration::from_millis(100);

/// A client with its connection.
struct Inserter {
    client: Client,
    statement: Statement,
    table: Arc<Table>,
    maker: Maker,
}

impl Inserter {
    async fn insert(&mut self) -> Result<()> {
        let cells = self.table.cells(&self.maker.row());
        let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as _).collect();
        self.client.execute(&self.statement, &cells).await?;
        Ok(())
    }
}

/// Starts a client for each device, each of which inserts as soon as its last row is committed; the table's name.
pub(crate) async fn start(
    database: &Database,
    devices: &[Device],
    pace: &Arc<Pace>,
) -> Result<(&'static str, Clients)> {
    let mut clients = Clients::new();
    for mut inserter in connect(database, devices).await? {
        let pace = Arc::clone(pace);
        clients.spawn(async move {
            while !pace.is_over() {
                inserter.insert().await?;
                pace.add(1);
            }
            Ok(())
        });
    }
    Ok((Target::Reference.name(), clients))
}

/// How long a commit takes when so many a second are made, on schedule.
pub(crate) async fn latencies(
    database: &Database,
    devices: &[Device],
    per_second: f64,
    window: (Duration, Duration),
) -> Result<Latencies> {
    let inserters = connect(database, devices).await?;
    let (begin, count) = (Instant::now() + START, inserters.len());
    let mut clients = JoinSet::new();
    for (index, mut inserter) in inserters.into_iter().enumerate() {
        let schedule = Schedule::new(begin, (index, count), per_second, window);
        let runtime = Handle::current();
        clients.spawn_blocking(move || send_on_schedule(schedule, || runtime.block_on(inserter.insert())));
    }
    push::join(clients).await
}

async fn connect(database: &Database, devices: &[Device]) -> Result<Vec<Inserter>> {
    let table = Arc::new(Target::Reference.create(&database.connect().await?).await?);
    let fields = Arc::new(bodies::fields()?);
    let places: Vec<String> = (1..=table.types().len()).map(|number| format!("${number}")).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.columns(), places.join(", "));
    let mut inserters = Vec::with_capacity(devices.len());
    for device in devices {
        let client = database.connect().await?;
        let statement = client.prepare(&sql).await?;
        let maker = Maker::new(&fields, std::iter::once(device.clone()), 1);
        inserters.push(Inserter { client, statement, table: Arc::clone(&table), maker });
    }
    Ok(inserters)
}
