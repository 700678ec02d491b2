//! The contenders of the push scenarios, each on a fresh database: Tidelog under several loads, and the baselines.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;

use super::loads::PushLoad;
use crate::bench::baseline::table::BaselineTable;
use crate::bench::baseline::{append, commit, copy};
use crate::bench::environment::Environment;
use crate::bench::environment::cluster::Database;
use crate::bench::generator::push;
use crate::bench::measure::{Clients, LoadControl, Sample, measure};

/// Ops for whose pushes requests are encoded beforehand, for each second of a measurement. More than a server can take,
/// for batches of more than one op and for batches of one.
const ENCODED_OPS_PER_SECOND: u64 = 250_000;
const ENCODED_SINGLE_OPS_PER_SECOND: u64 = 60_000;

/// What is measured in turns with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// A server under this load.
    Tidelog(PushLoad),
    /// COPY of the same rows into this table.
    Copy(BaselineTable),
    /// Single-row commits by this many clients.
    Commit(usize),
    /// Calls of the server's append function by this many clients.
    Append(usize),
}

/// What a contender did in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// What happened within the window.
    pub(crate) sample: Sample,
    /// Bytes of the table with its indexes for each row. 0 if that is not measured.
    pub(crate) disk_bytes_each: f64,
    /// Ops of a transaction.
    pub(crate) group_ops: f64,
}

/// The clients of a baseline.
struct BaselineClients {
    clients: Clients,
    /// The table that they write, if its size is measured.
    table: Option<&'static str>,
}

impl Contender {
    /// Measures the contender once. `group_ops` is the number of ops that the server appended in one transaction in the same
    /// round; COPY takes as many rows in one.
    pub(crate) async fn run(self, environment: &Environment, group_ops: f64) -> Result<Run> {
        match self {
            Self::Tidelog(load) => tidelog(environment, load).await,
            Self::Copy(table) => {
                let rows = group_ops.round().max(1.0) as usize;
                let load = copy::CopyLoad { table, connections: environment.append_workers, rows, batch: 100 };
                let devices = environment.devices.first(16, false);
                baseline(environment, group_ops, async |database, control| {
                    let (table, clients) = copy::start(database, devices, load, control).await?;
                    Ok(BaselineClients { clients, table: Some(table) })
                })
                .await
            }
            Self::Commit(clients) => {
                let devices = environment.devices.first(clients, false);
                baseline(environment, 1.0, async |database, control| {
                    let (table, clients) = commit::start(database, devices, control).await?;
                    Ok(BaselineClients { clients, table: Some(table) })
                })
                .await
            }
            Self::Append(clients) => {
                let devices = environment.devices.first(clients, false);
                baseline(environment, 1.0, async |database, control| {
                    let clients = append::start(database, devices, control).await?;
                    Ok(BaselineClients { clients, table: None })
                })
                .await
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tidelog(load) => load.fmt(f),
            Self::Copy(BaselineTable::Reference) => write!(f, "COPY into the reference table"),
            Self::Copy(BaselineTable::Ours) => write!(f, "COPY into our own table"),
            Self::Commit(clients) => write!(f, "single-row commits by {clients} clients"),
            Self::Append(clients) => write!(f, "calls of tidelog.append by {clients} clients"),
        }
    }
}

/// Measures a server on a fresh database.
async fn tidelog(environment: &Environment, load: PushLoad) -> Result<Run> {
    let server = environment.serve(environment.database().await?, "gateway").await?;
    let window = environment.plan.window;
    let ops_per_second = if load.batch > 1 { ENCODED_OPS_PER_SECOND } else { ENCODED_SINGLE_OPS_PER_SECOND };
    let encoded_ops = ops_per_second * (window.warmup + window.length).as_secs().max(1);
    let pushers = push::connect(&load.settings(&server)?, load.devices(environment), encoded_ops).await?;
    environment.postgres.checkpoint().await?;
    let log_bytes = server.database.bytes_of("tidelog.log").await?;
    let control = Arc::new(LoadControl::default());
    let clients = push::closed_loop(pushers, &control);
    let sample = measure(&environment.postgres, Some(server.pid()), &control, clients, window).await?;
    let group_ops = server.group_ops()?;
    server.check_events(control.done()).await?;
    let log_bytes = server.database.bytes_of("tidelog.log").await? - log_bytes;
    server.end(&environment.postgres).await?;
    Ok(Run { sample, disk_bytes_each: log_bytes as f64 / control.done().max(1) as f64, group_ops })
}

/// Measures clients that write to a fresh database without a server.
async fn baseline(
    environment: &Environment,
    group_ops: f64,
    start: impl AsyncFnOnce(&Database, &Arc<LoadControl>) -> Result<BaselineClients>,
) -> Result<Run> {
    let database = environment.database().await?;
    environment.postgres.checkpoint().await?;
    let control = Arc::new(LoadControl::default());
    let BaselineClients { clients, table } = start(&database, &control).await?;
    let sample = measure(&environment.postgres, None, &control, clients, environment.plan.window).await?;
    let bytes = match table {
        Some(table) => database.bytes_of(table).await?,
        None => 0,
    };
    environment.postgres.remove(database).await?;
    Ok(Run { sample, disk_bytes_each: bytes as f64 / control.done().max(1) as f64, group_ops })
}
