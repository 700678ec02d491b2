//! Pushes while an old snapshot is open. Postgres cannot remove a row version that the snapshot may still see, so each
//! update of a row makes the next one slower.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_postgres::Client;

use super::many_workspaces::ManyWorkspaces;
use crate::bench::environment::Environment;
use crate::bench::generator::push::{self, PushSettings};
use crate::bench::measure::spread::Spread;
use crate::bench::measure::{LoadControl, measure};
use crate::bench::plan::Window;
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;

/// Workspaces that are pushed to, each by one device.
const WORKSPACES: usize = 100;
/// Ops of a push: one, so that the same rows are updated as often as possible.
const BATCH: u64 = 1;

/// Measures pushes without and with an old snapshot, each on a copy of the small log.
pub(super) async fn run(environment: &Environment, small: &ManyWorkspaces, report: &mut Report) -> Result<()> {
    let length = Duration::from_secs(if environment.plan.is_quick { 10 } else { 60 });
    let without = ops_per_second(environment, small, length, false).await?;
    let with = ops_per_second(environment, small, length, true).await?;
    let seconds = length.as_secs();
    let name = format!("push to {WORKSPACES} workspaces for {seconds} s with an old snapshot open, batches of {BATCH}");
    let figure = Figure::new(name, Spread::one(with), "ops/s").beside(Spread::one(without), None);
    report.add(figure.target(Target::RatioAtLeast(0.8)));
    Ok(())
}

async fn ops_per_second(
    environment: &Environment,
    small: &ManyWorkspaces,
    length: Duration,
    with_snapshot: bool,
) -> Result<f64> {
    let database = environment.postgres.create(Some(&small.database)).await?;
    let snapshot_holder = database.connect().await?;
    if with_snapshot {
        open_snapshot(&snapshot_holder).await?;
    }
    let server = environment.serve(database, "gateway").await?;
    let settings = PushSettings::msgpack(server.address, BATCH)?;
    let devices = small.pushing_devices(WORKSPACES, 0.0, WORKSPACES).await?;
    let pushers = push::connect_shared(&settings, devices, 0).await?;
    environment.postgres.checkpoint().await?;
    let control = Arc::new(LoadControl::default());
    let clients = push::closed_loop(pushers, &control);
    let window = Window { warmup: Duration::ZERO, length };
    let sample = measure(&environment.postgres, Some(server.pid()), &control, clients, window).await?;
    // A savepoint needs an open transaction, so this fails if the snapshot was closed meanwhile.
    let still_open = snapshot_holder.batch_execute("SAVEPOINT still_open").await;
    still_open.or_else(|error| if with_snapshot { Err(error) } else { Ok(()) })?;
    drop(snapshot_holder);
    let (with_or_without, rate) = (if with_snapshot { "with" } else { "without" }, number(sample.per_second()));
    output::note(format_args!("push {with_or_without} an old snapshot open: {rate} ops/s"));
    server.end(&environment.postgres).await?;
    Ok(sample.per_second())
}

async fn open_snapshot(client: &Client) -> Result<()> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    client.query_one("SELECT count(*) FROM tidelog.heads", &[]).await.context("taking a snapshot")?;
    Ok(())
}
