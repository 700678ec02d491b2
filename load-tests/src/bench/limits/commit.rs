//! The limit of a push of one op: a single row inserted and committed by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::table::{Maker, Table, Target};
use crate::bench::bodies;
use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::latency::{Latencies, Schedule};
use crate::bench::measure::{Clients, Pace};

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
    Target::Reference.create(&database.connect().await?).await?;
    let (database, devices, pace) = (database.clone(), devices.to_vec(), Arc::clone(pace));
    let mut clients = Clients::new();
    clients.spawn_blocking(move || on_one_thread(as_fast_as_can_be(&database, &devices, &pace)));
    Ok((Target::Reference.name(), clients))
}

async fn as_fast_as_can_be(database: &Database, devices: &[Device], pace: &Arc<Pace>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for mut inserter in connect(database, devices).await? {
        let pace = Arc::clone(pace);
        tasks.spawn(async move {
            while !pace.is_over() {
                inserter.insert().await?;
                pace.add(1);
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Clients and connections on one thread take less CPU than on several, where each answer wakes another of them.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// How long a commit takes when so many a second are made, on schedule.
///
/// A thread of its own tells the clients when they are due: the runtime's clock has a grain of a millisecond.
pub(crate) async fn latencies(
    database: &Database,
    devices: &[Device],
    per_second: f64,
    window: (Duration, Duration),
) -> Result<Latencies> {
    let (database, devices) = (database.clone(), devices.to_vec());
    Target::Reference.create(&database.connect().await?).await?;
    let committing = move || on_one_thread(on_schedule(&database, &devices, per_second, window));
    tokio::task::spawn_blocking(committing).await?
}

async fn on_schedule(
    database: &Database,
    devices: &[Device],
    per_second: f64,
    window: (Duration, Duration),
) -> Result<Latencies> {
    let inserters = connect(database, devices).await?;
    let (begin, count) = (Instant::now(), inserters.len());
    let (mut callers, mut tasks) = (Vec::with_capacity(count), JoinSet::new());
    for (index, mut inserter) in inserters.into_iter().enumerate() {
        let (caller, mut calls) = mpsc::unbounded_channel::<Instant>();
        let schedule = Schedule::new(begin, (index, count), per_second, window);
        callers.push((schedule, caller));
        tasks.spawn(async move {
            let mut taken = Vec::new();
            while let Some(due) = calls.recv().await {
                inserter.insert().await?;
                if schedule.counts(due) {
                    taken.push(due.elapsed());
                }
            }
            Ok::<_, anyhow::Error>(taken)
        });
    }
    let calling = tokio::task::spawn_blocking(move || call(&callers));
    let mut latencies = Latencies::new()?;
    while let Some(taken) = tasks.join_next().await {
        taken??.into_iter().for_each(|latency| latencies.record(latency));
    }
    calling.await?;
    ensure!(latencies.count() > 0, "nothing was due in the time that counts");
    Ok(latencies)
}

/// Tells each client when it is due, in the order of time: they take turns.
fn call(callers: &[(Schedule, mpsc::UnboundedSender<Instant>)]) {
    for number in 0.. {
        let mut any = false;
        for (schedule, caller) in callers {
            let Some(due) = schedule.due(number) else { continue };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A client that has failed is joined, and tells why.
            any |= caller.send(due).is_ok();
        }
        if !any {
            return;
        }
    }
}

async fn connect(database: &Database, devices: &[Device]) -> Result<Vec<Inserter>> {
    let table = Arc::new(Table::read(&database.connect().await?, Target::Reference.name()).await?);
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
