//! The sides that the rows of push compare, each on a fresh database: Tidelog in several shapes, and the limits.

use std::sync::Arc;

use anyhow::Result;
use tidelog_core::wire::Encoding;

use crate::bench::bodies::Stencils;
use crate::bench::fleet::Device;
use crate::bench::lab::{Lab, Subject};
use crate::bench::limits::table::Target;
use crate::bench::limits::{append, commit, copy};
use crate::bench::measure::{Clients, Pace, Sample, measure};
use crate::bench::push::{self, Pushing};

/// Ops a second that requests are put together for beforehand, by the size of their batches: above what can be reached.
const STOCK_PER_SECOND: fn(u64) -> u64 = |batch| if batch > 1 { 250_000 } else { 60_000 };

/// Who pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// Devices.
    pub(crate) devices: usize,
    /// Whether all of them are in one workspace, or each in its own.
    pub(crate) one_workspace: bool,
    /// Ops of a push.
    pub(crate) batch: u64,
    /// Whether bodies are JSON, or else MessagePack.
    pub(crate) json: bool,
}

/// What is measured in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Devices against the server.
    Tidelog(Shape),
    /// COPY of the same rows.
    Copy(Target),
    /// Single-row commits by so many clients.
    Commit(usize),
    /// The server's append statement by so many clients.
    Append(usize),
}

/// What one side did in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Within the window.
    pub(crate) sample: Sample,
    /// Bytes of table and indexes for each row; 0 where they are not told.
    pub(crate) disk_bytes_each: f64,
    /// Ops of a transaction.
    pub(crate) group_ops: f64,
}

impl Shape {
    /// Who pushes.
    pub(crate) fn devices(self, lab: &Lab) -> &[Device] {
        lab.fleet.devices(self.devices, self.one_workspace)
    }

    /// How they push to this server.
    pub(crate) fn pushing(self, subject: &Subject) -> Result<Pushing> {
        let encoding = if self.json { Encoding::Json } else { Encoding::MessagePack };
        let stencils = Arc::new(Stencils::new(encoding)?);
        Ok(Pushing { address: subject.address, batch: self.batch, encoding, stencils })
    }
}

impl Side {
    /// Measures it once. COPY takes as many rows in a transaction as the server had ops in one in the same round.
    pub(crate) async fn run(self, lab: &Lab, group_ops: f64) -> Result<Run> {
        match self {
            Self::Tidelog(shape) => tidelog(lab, shape).await,
            Self::Copy(target) => {
                let rows = group_ops.round().max(1.0) as usize;
                let shape = copy::Shape { target, connections: lab.append_workers, rows, batch: 100 };
                let devices = lab.fleet.devices(16, false);
                limit(lab, group_ops, async |database, pace| {
                    let (table, clients) = copy::start(database, devices, shape, pace).await?;
                    Ok((Some(table), clients))
                })
                .await
            }
            Self::Commit(clients) => {
                let devices = lab.fleet.devices(clients, false);
                limit(lab, 1.0, async |database, pace| {
                    let (table, clients) = commit::start(database, devices, pace).await?;
                    Ok((Some(table), clients))
                })
                .await
            }
            Self::Append(clients) => {
                let devices = lab.fleet.devices(clients, false);
                limit(lab, 1.0, async |database, pace| Ok((None, append::start(database, devices, pace).await?))).await
            }
        }
    }
}

async fn tidelog(lab: &Lab, shape: Shape) -> Result<Run> {
    let subject = lab.serve(lab.database().await?, "gateway").await?;
    let window = lab.plan.window;
    let stock = STOCK_PER_SECOND(shape.batch) * (window.warmup + window.length).as_secs().max(1);
    let pushers = push::connect(&shape.pushing(&subject)?, shape.devices(lab), stock).await?;
    lab.postgres.checkpoint().await?;
    let log_bytes = subject.database.bytes_of("tidelog.log").await?;
    let pace = Arc::new(Pace::default());
    let clients = push::closed_loop(pushers, &pace);
    let sample = measure(&lab.postgres, Some(subject.pid()), &pace, clients, window).await?;
    let group_ops = subject.group_ops()?;
    subject.check_events(pace.done()).await?;
    let log_bytes = subject.database.bytes_of("tidelog.log").await? - log_bytes;
    subject.end(lab).await?;
    Ok(Run { sample, disk_bytes_each: log_bytes as f64 / pace.done().max(1) as f64, group_ops })
}

/// Measures clients that go to the database themselves.
async fn limit(
    lab: &Lab,
    group_ops: f64,
    start: impl AsyncFnOnce(&crate::bench::cluster::Database, &Arc<Pace>) -> Result<(Option<&'static str>, Clients)>,
) -> Result<Run> {
    let database = lab.database().await?;
    lab.postgres.checkpoint().await?;
    let pace = Arc::new(Pace::default());
    let (table, clients) = start(&database, &pace).await?;
    let sample = measure(&lab.postgres, None, &pace, clients, lab.plan.window).await?;
    let bytes = match table {
        Some(table) => database.bytes_of(table).await?,
        None => 0,
    };
    lab.postgres.remove(database).await?;
    Ok(Run { sample, disk_bytes_each: bytes as f64 / pace.done().max(1) as f64, group_ops })
}
