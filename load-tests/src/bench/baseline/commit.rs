//! The baseline of pushes of one op: a single row, inserted and committed by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::row::RowGenerator;
use super::table::{BaselineTable, Table};
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads;
use crate::bench::measure::latency::{Latencies, Schedule};
use crate::bench::measure::{Clients, LoadControl};

/// A client that inserts on a connection of its own.
struct Inserter {
    client: Client,
    statement: Statement,
    table: Arc<Table>,
    rows: RowGenerator,
}

impl Inserter {
    async fn insert(&mut self) -> Result<()> {
        let values = self.table.values(&self.rows.next_row());
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        self.client.execute(&self.statement, &values).await?;
        Ok(())
    }
}

/// Starts a client for each device and returns them with the name of the table. Each inserts its next row as soon as the
/// last one is committed.
pub(crate) async fn start(
    database: &Database,
    devices: &[Device],
    control: &Arc<LoadControl>,
) -> Result<(&'static str, Clients)> {
    BaselineTable::Reference.create(&database.connect().await?).await?;
    let (database, devices, control) = (database.clone(), devices.to_vec(), Arc::clone(control));
    let mut clients = Clients::new();
    clients.spawn_blocking(move || on_one_thread(closed_loop(&database, &devices, &control)));
    Ok((BaselineTable::Reference.name(), clients))
}

async fn closed_loop(database: &Database, devices: &[Device], control: &Arc<LoadControl>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for mut inserter in connect(database, devices).await? {
        let control = Arc::clone(control);
        tasks.spawn(async move {
            while !control.is_stopped() {
                inserter.insert().await?;
                control.add(1);
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Runs clients and their connections on one thread. That takes less CPU than several threads, of which each result would
/// wake another one.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The latencies of commits at a rate of `per_second`, on a schedule.
///
/// The clients are woken by a thread of its own, because the timers of the runtime have a resolution of a millisecond.
pub(crate) async fn latencies(
    database: &Database,
    devices: &[Device],
    per_second: f64,
    window: (Duration, Duration),
) -> Result<Latencies> {
    let (database, devices) = (database.clone(), devices.to_vec());
    BaselineTable::Reference.create(&database.connect().await?).await?;
    let committing = move || on_one_thread(open_loop(&database, &devices, per_second, window));
    tokio::task::spawn_blocking(committing).await?
}

async fn open_loop(
    database: &Database,
    devices: &[Device],
    per_second: f64,
    window: (Duration, Duration),
) -> Result<Latencies> {
    let inserters = connect(database, devices).await?;
    let (begin, count) = (Instant::now(), inserters.len());
    let (mut wakers, mut tasks) = (Vec::with_capacity(count), JoinSet::new());
    for (index, mut inserter) in inserters.into_iter().enumerate() {
        let (waker, mut wakes) = mpsc::unbounded_channel::<Instant>();
        let schedule = Schedule::new(begin, (index, count), per_second, window);
        wakers.push((schedule, waker));
        tasks.spawn(async move {
            let mut measured = Vec::new();
            while let Some(due) = wakes.recv().await {
                inserter.insert().await?;
                if schedule.counts(due) {
                    measured.push(due.elapsed());
                }
            }
            Ok::<_, anyhow::Error>(measured)
        });
    }
    let waking = tokio::task::spawn_blocking(move || wake_on_schedule(&wakers));
    let mut latencies = Latencies::new()?;
    while let Some(measured) = tasks.join_next().await {
        measured??.into_iter().for_each(|latency| latencies.record(latency));
    }
    waking.await?;
    ensure!(latencies.count() > 0, "no commit was due after the warm-up");
    Ok(latencies)
}

/// Sends each client the times at which it is due, when they have come. The clients are due in turns, in their order.
fn wake_on_schedule(wakers: &[(Schedule, mpsc::UnboundedSender<Instant>)]) {
    for number in 0.. {
        let mut any_sent = false;
        for (schedule, waker) in wakers {
            let Some(due) = schedule.due(number) else { continue };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A client that is gone has failed. Its task returns the error.
            any_sent |= waker.send(due).is_ok();
        }
        if !any_sent {
            return;
        }
    }
}

async fn connect(database: &Database, devices: &[Device]) -> Result<Vec<Inserter>> {
    let table = Arc::new(Table::read(&database.connect().await?, BaselineTable::Reference.name()).await?);
    let fields = Arc::new(payloads::fields()?);
    let placeholders: Vec<String> = (1..=table.types().len()).map(|number| format!("${number}")).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.columns(), placeholders.join(", "));
    let mut inserters = Vec::with_capacity(devices.len());
    for device in devices {
        let client = database.connect().await?;
        let statement = client.prepare(&sql).await?;
        let rows = RowGenerator::new(&fields, std::iter::once(device.clone()), 1);
        inserters.push(Inserter { client, statement, table: Arc::clone(&table), rows });
    }
    Ok(inserters)
}
