//! What the runs of push come to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::sides::{Run, Shape, Side};
use super::{PUSH_1, PushRow, Runs};
use crate::bench::args::Row;
use crate::bench::lab::Lab;
use crate::bench::latency::Latencies;
use crate::bench::limits::commit;
use crate::bench::limits::table::Target as Table;
use crate::bench::measure::Pace;
use crate::bench::push;
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};

/// Adds the figures of a row.
pub(super) async fn add(lab: &Lab, row: &PushRow, runs: &Runs, report: &mut Report) -> Result<()> {
    let subject = Of::side(runs, Side::Tidelog(row.subject))?;
    report.add(rate(row, runs, "")?.target(row.target));
    for side in row.beside.iter().filter(|side| runs.contains_key(side)) {
        let other = Of::side(runs, *side)?;
        let name = format!("{}: beside {}", row.name, side_name(*side));
        let figure = Figure::new(name, subject.rate()?, "ops/s");
        report.add(figure.beside(other.rate()?, ratios(&subject.rates(), &other.rates())));
    }
    cpu(row, &subject, runs, report)?;
    report.add(Figure::new(format!("{}: ops a transaction", row.name), subject.spread(|run| run.group_ops)?, "ops"));
    if row.row == Row::Push100 {
        bytes(row.name, &subject, runs, report)?;
    }
    latencies(lab, row, &subject, runs, report).await
}

/// The rate beside its limit.
pub(super) fn rate(row: &PushRow, runs: &Runs, condition: &str) -> Result<Figure> {
    let subject = Of::side(runs, Side::Tidelog(row.subject))?;
    let figure = Figure::new(format!("{}{condition}", row.name), subject.rate()?, "ops/s");
    let Some(limit) = row.limit else { return Ok(figure) };
    let limit = Of::side(runs, limit)?;
    Ok(figure.beside(limit.rate()?, ratios(&subject.rates(), &limit.rates())))
}

fn cpu(row: &PushRow, subject: &Of<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let (name, us) = (row.name, "us/op");
    let server = subject.spread(|run| run.sample.us_each(run.sample.cpu.server_s))?;
    let postgres = subject.spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
    let generator = subject.spread(|run| run.sample.us_each(run.sample.cpu.generator_s))?;
    let mut server = Figure::new(format!("{name}: CPU of the server"), server, us);
    let mut postgres = Figure::new(format!("{name}: CPU of Postgres"), postgres, us);
    if let Some(limit) = row.limit {
        let limit = Of::side(runs, limit)?.spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
        postgres = postgres.beside(limit, None);
    }
    if row.row == Row::Push100 {
        (server, postgres) = (server.target(Target::AtMost(2.5)), postgres.target(Target::AtMost(8.0)));
    }
    report.add(server);
    report.add(postgres);
    report.add(Figure::new(format!("{name}: CPU of the generator"), generator, us));
    Ok(())
}

/// WAL and disk, beside those of the reference table.
fn bytes(name: &str, subject: &Of<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let limit = Of::side(runs, Side::Copy(Table::Reference))?;
    let wal = |run: &Run| run.sample.wal_bytes_each();
    let disk = |run: &Run| run.disk_bytes_each;
    let figures =
        [("WAL", subject.spread(wal)?, limit.spread(wal)?), ("disk", subject.spread(disk)?, limit.spread(disk)?)];
    for (what, value, limit) in figures {
        let figure = Figure::new(format!("{name}: {what}"), value, "bytes/op");
        report.add(figure.beside(limit, None).target(Target::RatioAtMost(1.15)));
    }
    Ok(())
}

/// Latencies at half and at 80 % of the rate that was just reached.
async fn latencies(lab: &Lab, row: &PushRow, subject: &Of<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let loads: &[f64] = match (lab.plan.quick, row.subject == PUSH_1) {
        (true, true) => &[0.5],
        (true, false) => &[],
        (false, _) => &[0.5, 0.8],
    };
    for load in loads {
        let latencies = tidelog_latencies(lab, row.subject, subject.rate()?.median * load).await?;
        // The target is of half the load, on both sides.
        let commits = match row.limit {
            Some(Side::Commit(clients)) if row.subject == PUSH_1 && *load <= 0.5 => {
                let capacity = Of::side(runs, Side::Commit(clients))?.rate()?.median;
                Some(commit_latencies(lab, clients, capacity * load).await?)
            }
            _ => None,
        };
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let name = format!("{}: {quantile} at {:.0} % load", row.name, load * 100.0);
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

async fn commit_latencies(lab: &Lab, clients: usize, per_second: f64) -> Result<Latencies> {
    let database = lab.database().await?;
    lab.postgres.checkpoint().await?;
    let latencies = commit::latencies(&database, lab.fleet.devices(clients, false), per_second, window(lab)).await?;
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

impl<'a> Of<'a> {
    fn side(runs: &'a Runs, side: Side) -> Result<Self> {
        runs.get(&side).map(|runs| Self(runs)).with_context(|| format!("nothing was measured of {side:?}"))
    }

    /// Operations a second.
    fn rate(&self) -> Result<Spread> {
        self.spread(|run| run.sample.per_second())
    }

    fn spread(&self, figure: impl Fn(&Run) -> f64) -> Result<Spread> {
        Spread::of(self.0.iter().map(figure)).context("a side without runs")
    }

    fn rates(&self) -> Vec<f64> {
        self.0.iter().map(|run| run.sample.per_second()).collect()
    }
}
