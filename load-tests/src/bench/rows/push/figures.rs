//! What the runs of push come to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::sides::{Run, Shape, Side};
use super::{PUSH_1, PUSH_100, Runs, sides_of};
use crate::bench::args::Row;
use crate::bench::lab::Lab;
use crate::bench::latency::Latencies;
use crate::bench::limits::commit;
use crate::bench::limits::table::Target as Table;
use crate::bench::measure::Pace;
use crate::bench::push;
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};

/// What is asked of a row's rate.
fn rate_of(row: Row) -> (Option<Side>, Option<Target>) {
    match row {
        Row::Push100 => (Some(Side::Copy(Table::Reference)), Some(Target::RatioAtLeast(0.6))),
        Row::Push100One => (Some(Side::Tidelog(PUSH_100)), Some(Target::RatioAtLeast(0.8))),
        Row::Push100Json => (Some(Side::Tidelog(PUSH_100)), Some(Target::RatioAtLeast(0.6))),
        Row::Push1 => (Some(Side::Commit(16)), Some(Target::RatioAtLeast(0.8))),
        Row::Push1One => (None, Some(Target::AtLeast(20_000.0))),
        Row::Push1SixtyFour => (Some(Side::Commit(64)), Some(Target::RatioAtLeast(1.0))),
        _ => (None, None),
    }
}

fn name_of(row: Row) -> &'static str {
    match row {
        Row::Push100 => "push, 16 devices in 16 workspaces, x100",
        Row::Push100One => "push, 16 devices in ONE workspace, x100",
        Row::Push100Json => "push in JSON, 16 devices, x100",
        Row::Push1 => "push, 16 devices in 16 workspaces, x1",
        Row::Push1One => "push, 64 devices in ONE workspace, x1",
        Row::Push1SixtyFour => "push, 64 devices in 64 workspaces, x1",
        _ => "push",
    }
}

/// Adds the figures of a row.
pub(super) async fn add(lab: &Lab, row: Row, runs: &Runs, report: &mut Report) -> Result<()> {
    let Some(Side::Tidelog(shape)) = sides_of(row).first().copied() else { return Ok(()) };
    let name = name_of(row);
    let subject = Of(runs.get(&Side::Tidelog(shape)).context("a row without runs")?);
    report.add(rate(row, runs)?);
    for side in sides_of(row).iter().skip(1) {
        if Some(*side) != rate_of(row).0 {
            let other = Of(runs.get(side).context("a side without runs")?);
            let ratio = ratios(&subject.rates(), &other.rates());
            let rate = subject.spread(|run| run.sample.per_second())?;
            let limit = other.spread(|run| run.sample.per_second())?;
            report.add(Figure::new(format!("{name}: beside {}", side_name(*side)), rate, "ops/s").beside(limit, ratio));
        }
    }
    cpu(row, name, &subject, runs, report)?;
    report.add(Figure::new(format!("{name}: ops a transaction"), subject.spread(|run| run.group_ops)?, "ops"));
    if row == Row::Push100 {
        bytes(name, &subject, runs, report)?;
    }
    latencies(lab, row, shape, &subject, runs, report).await
}

/// The rate beside its limit.
fn rate(row: Row, runs: &Runs) -> Result<Figure> {
    let subject = Of(runs.get(&sides_of(row)[0]).context("a row without runs")?);
    let mut figure = Figure::new(name_of(row), subject.spread(|run| run.sample.per_second())?, "ops/s");
    let (limit, target) = rate_of(row);
    if let Some(limit) = limit {
        let limit = Of(runs.get(&limit).context("a limit without runs")?);
        let ratio = ratios(&subject.rates(), &limit.rates());
        figure = figure.beside(limit.spread(|run| run.sample.per_second())?, ratio);
    }
    Ok(match target {
        Some(target) => figure.target(target),
        None => figure,
    })
}

fn cpu(row: Row, name: &str, subject: &Of<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let us = "us/op";
    let server = subject.spread(|run| run.sample.us_each(run.sample.cpu.server_s))?;
    let postgres = subject.spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
    let generator = subject.spread(|run| run.sample.us_each(run.sample.cpu.generator_s))?;
    let mut server = Figure::new(format!("{name}: CPU of the server"), server, us);
    let mut postgres = Figure::new(format!("{name}: CPU of Postgres"), postgres, us);
    if let Some(limit) = rate_of(row).0.and_then(|limit| runs.get(&limit)) {
        let limit = Of(limit).spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
        postgres = postgres.beside(limit, None);
    }
    if row == Row::Push100 {
        (server, postgres) = (server.target(Target::AtMost(2.5)), postgres.target(Target::AtMost(8.0)));
    }
    report.add(server);
    report.add(postgres);
    report.add(Figure::new(format!("{name}: CPU of the generator"), generator, us));
    Ok(())
}

fn bytes(name: &str, subject: &Of<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let limit = Of(runs.get(&Side::Copy(Table::Reference)).context("a limit without runs")?);
    let figures: [(&str, fn(&Run) -> f64); 2] =
        [("WAL", |run| run.sample.wal_bytes_each()), ("disk", |run| run.disk_bytes_each)];
    for (what, each) in figures {
        let figure = Figure::new(format!("{name}: {what}"), subject.spread(each)?, "bytes/op");
        report.add(figure.beside(limit.spread(each)?, None).target(Target::RatioAtMost(1.15)));
    }
    Ok(())
}

/// Latencies at half and at 80 % of the rate that was just reached.
async fn latencies(
    lab: &Lab,
    row: Row,
    shape: Shape,
    subject: &Of<'_>,
    runs: &Runs,
    report: &mut Report,
) -> Result<()> {
    let capacity = subject.spread(|run| run.sample.per_second())?.median;
    let loads: &[f64] = match (lab.plan.quick, row) {
        (true, Row::Push1) => &[0.5],
        (true, _) => &[],
        (false, _) => &[0.5, 0.8],
    };
    for load in loads {
        let latencies = tidelog_latencies(lab, shape, capacity * load).await?;
        let half_of_single = shape == PUSH_1 && *load <= 0.5;
        let commits = match runs.get(&Side::Commit(16)).filter(|_| half_of_single) {
            Some(commits) => {
                let capacity = Of(commits).spread(|run| run.sample.per_second())?.median;
                Some(commit_latencies(lab, capacity * load).await?)
            }
            None => None,
        };
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let name = format!("{}: {quantile} at {:.0} % load", name_of(row), load * 100.0);
            let mut figure = Figure::new(name, Spread::one(latencies.quantile_ms(share)), "ms");
            if let Some(commits) = &commits {
                figure = figure.beside(Spread::one(commits.quantile_ms(share)), None);
                if quantile == "p50" {
                    figure = figure.target(Target::RatioAtMost(2.0));
                }
            }
            report.add(figure);
        }
    }
    Ok(())
}

async fn tidelog_latencies(lab: &Lab, shape: Shape, ops_per_second: f64) -> Result<Latencies> {
    let subject = lab.serve(lab.database().await?, "gateway").await?;
    let (warmup, length) = window(lab);
    let stock = ops_per_second * (warmup + length).as_secs_f64() * 1.1;
    let pushers = push::connect(&shape.pushing(&subject)?, shape.devices(lab), stock as u64).await?;
    lab.postgres.checkpoint().await?;
    let pace = Arc::new(Pace::default());
    let latencies = push::open_loop(pushers, ops_per_second, (warmup, length), &pace).await?;
    subject.check_events(pace.done()).await?;
    subject.end(lab).await?;
    Ok(latencies)
}

async fn commit_latencies(lab: &Lab, per_second: f64) -> Result<Latencies> {
    let database = lab.database().await?;
    lab.postgres.checkpoint().await?;
    let latencies = commit::latencies(&database, lab.fleet.devices(16, false), per_second, window(lab)).await?;
    lab.postgres.remove(database).await?;
    Ok(latencies)
}

fn window(lab: &Lab) -> (Duration, Duration) {
    (lab.plan.window.warmup, lab.plan.window.length)
}

fn side_name(side: Side) -> String {
    match side {
        Side::Tidelog(_) => "Tidelog".to_owned(),
        Side::Copy(Table::Reference) => "COPY into the reference table".to_owned(),
        Side::Copy(Table::Ours) => "COPY into our table".to_owned(),
        Side::Commit(clients) => format!("single-row commits by {clients} clients"),
        Side::Append(clients) => format!("the append statement by {clients} clients"),
    }
}

/// The runs of one side.
struct Of<'a>(&'a [Run]);

impl Of<'_> {
    fn spread(&self, figure: impl Fn(&Run) -> f64) -> Result<Spread> {
        Spread::of(self.0.iter().map(figure)).context("a side without runs")
    }

    fn rates(&self) -> Vec<f64> {
        self.0.iter().map(|run| run.sample.per_second()).collect()
    }
}
