//! Steps that the projecting and rebuild scenarios share: filling a log, letting a projector fold it, waiting for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidelog_core::wire::Encoding;
use tokio_postgres::Client;

use crate::bench::environment::Environment;
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::generator::push::{self, PushSettings, PushingDevice};
use crate::bench::measure::{Sample, Stopwatch};

/// Ops of a push.
const BATCH: u64 = 100;
/// Time between two reads of the checkpoints.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Longest time in which a projector may make no progress.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

/// How many ops are pushed by all devices together.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench::scenarios) struct PushCounts {
    /// Ops that the devices have pushed before.
    pub(in crate::bench::scenarios) before: u64,
    /// Ops that they push now, each to another record. If as many were pushed before, the same records are written again.
    pub(in crate::bench::scenarios) ops: u64,
}

/// Pushes ops to a server without a projector, which runs for that time only.
pub(in crate::bench::scenarios) async fn push_all(
    environment: &Environment,
    database: &Database,
    devices: &[Device],
    counts: PushCounts,
) -> Result<()> {
    let server = environment.serve(database.clone(), "gateway").await?;
    let ops_each = counts.ops / devices.len() as u64;
    let encoding = Encoding::MessagePack;
    let templates = Arc::new(OpTemplates::with_records(encoding, ops_each)?);
    let settings = PushSettings { address: server.address, batch: BATCH, encoding, templates };
    let last_seq = counts.before / devices.len() as u64;
    let devices = devices.iter().map(|device| vec![PushingDevice { device: device.clone(), last_seq }]).collect();
    let pushers = push::connect_shared(&settings, devices, 0).await?;
    push::batches(pushers, ops_each / BATCH).await?;
    server.process.stop()
}

/// Lets a projector fold all events that are not projected yet, and measures it from the end of its first step.
pub(in crate::bench::scenarios) async fn fold_all(environment: &Environment, database: &Database) -> Result<Sample> {
    let client = database.connect().await?;
    let head = sum_of_heads(&client).await?;
    let before = sum_of_checkpoints(&client).await?;
    environment.postgres.checkpoint().await?;
    let projector = environment.project(database)?;
    let first = wait_for_checkpoints(&client, |sum| sum > before).await?;
    let watch = Stopwatch::start(&environment.postgres, Some(projector.pid())).await?;
    wait_for_checkpoints(&client, |sum| sum >= head).await?;
    let sample = watch.stop((head - first).cast_unsigned()).await?;
    projector.stop()?;
    Ok(sample)
}

/// Waits until the sum of the checkpoints of all workspaces meets a condition, and returns it.
pub(super) async fn wait_for_checkpoints(client: &Client, is_reached: impl Fn(i64) -> bool) -> Result<i64> {
    let (mut last_sum, mut moved) = (0, Instant::now());
    loop {
        let sum = sum_of_checkpoints(client).await?;
        if is_reached(sum) {
            return Ok(sum);
        }
        if sum != last_sum {
            (last_sum, moved) = (sum, Instant::now());
        }
        ensure!(moved.elapsed() < STANDSTILL_MAX, "nothing was projected for {} s", STANDSTILL_MAX.as_secs());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The sum of the last positions of all workspaces.
pub(super) async fn sum_of_heads(client: &Client) -> Result<i64> {
    let sql =
        "SELECT sum(head)::bigint FROM (SELECT max(position) AS head FROM tidelog.log GROUP BY workspace) AS heads";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

async fn sum_of_checkpoints(client: &Client) -> Result<i64> {
    Ok(client.query_one("SELECT sum(position)::bigint FROM tidelog.checkpoints WHERE live", &[]).await?.try_get(0)?)
}
