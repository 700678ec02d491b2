//! Pushes while an old snapshot is open: no row that it may still see can be removed, so rows that are updated leave
//! ever longer trails.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_postgres::Client;

use super::crowd::Crowd;
use crate::bench::lab::Lab;
use crate::bench::measure::{Pace, Window, measure};
use crate::bench::push::{self, Pushing};
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::Spread;
use crate::output;

/// Workspaces that are pushed to, by a device each.
const WORKSPACES: usize = 100;
/// Ops of a push: one, for as many updates of the same rows as there can be.
const BATCH: u64 = 1;

/// Measures it, on copies of the small log.
pub(super) async fn run(lab: &Lab, small: &Crowd, report: &mut Report) -> Result<()> {
    let length = Duration::from_secs(if lab.plan.quick { 10 } else { 60 });
    let without = pushed(lab, small, length, false).await?;
    let with = pushed(lab, small, length, true).await?;
    let seconds = length.as_secs();
    let name = format!("push to {WORKSPACES} workspaces for {seconds} s with an old snapshot open, x{BATCH}");
    let figure = Figure::new(name, Spread::one(with), "ops/s").beside(Spread::one(without), None);
    report.add(figure.target(Target::RatioAtLeast(0.8)));
    Ok(())
}

async fn pushed(lab: &Lab, small: &Crowd, length: Duration, with_snapshot: bool) -> Result<f64> {
    let database = lab.postgres.create(Some(&small.database)).await?;
    let old = database.connect().await?;
    if with_snapshot {
        open_snapshot(&old).await?;
    }
    let subject = lab.serve(database, "gateway").await?;
    let pushing = Pushing::msgpack(subject.address, BATCH)?;
    let pushers = push::connect_crews(&pushing, small.crews(WORKSPACES, 0.0, WORKSPACES).await?, 0).await?;
    lab.postgres.checkpoint().await?;
    let pace = Arc::new(Pace::default());
    let clients = push::closed_loop(pushers, &pace);
    let window = Window { warmup: Duration::ZERO, length };
    let sample = measure(&lab.postgres, Some(subject.pid()), &pace, clients, window).await?;
    // It was open all the time, or this fails.
    old.batch_execute("SAVEPOINT still_open").await.or_else(|error| if with_snapshot { Err(error) } else { Ok(()) })?;
    drop(old);
    output::note(format_args!("old snapshot: {with_snapshot}: {:.0}/s", sample.per_second()));
    subject.end(lab).await?;
    Ok(sample.per_second())
}

async fn open_snapshot(client: &Client) -> Result<()> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    client.query_one("SELECT count(*) FROM tidelog.heads", &[]).await.context("taking a snapshot")?;
    Ok(())
}
