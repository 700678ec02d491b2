//! The figures of the push scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::contenders::{Contender, Run};
use super::definitions::PushScenario;
use super::loads::{PUSH_1, PushLoad};
use crate::bench::baseline::commit;
use crate::bench::baseline::table::BaselineTable;
use crate::bench::environment::Environment;
use crate::bench::generator::push;
use crate::bench::measure::LoadControl;
use crate::bench::measure::latency::Latencies;
use crate::bench::measure::spread::{Spread, ratios};
use crate::bench::plan::Scenario;
use crate::bench::report::{Figure, Report, Target};

/// What each contender did, round by round.
type Runs = BTreeMap<Contender, Vec<Run>>;

/// Adds the figures of a scenario: rates, CPU, bytes and latencies. The latencies are measured here, since they are taken
/// at a share of the rate.
pub(super) async fn add(
    environment: &Environment,
    scenario: &PushScenario,
    runs: &Runs,
    report: &mut Report,
) -> Result<()> {
    let server = ContenderRuns::of(runs, Contender::Tidelog(scenario.load))?;
    report.add(rate(scenario, runs, "")?.target(scenario.target));
    for contender in scenario.also_beside.iter().filter(|contender| runs.contains_key(contender)) {
        let other = ContenderRuns::of(runs, *contender)?;
        let figure = Figure::new(format!("{}: beside {contender}", scenario.load), server.rate()?, "ops/s");
        report.add(figure.beside(other.rate()?, ratios(&server.rates(), &other.rates())));
    }
    add_cpu(scenario, &server, runs, report)?;
    let group_ops = server.spread(|run| run.group_ops)?;
    report.add(Figure::new(format!("{}: ops of a transaction", scenario.load), group_ops, "ops"));
    if scenario.scenario == Scenario::Push100 {
        add_bytes(scenario.load, &server, runs, report)?;
    }
    add_latencies(environment, scenario, &server, runs, report).await
}

/// The rate of the server beside its baseline. `condition` is added to the name of the figure.
pub(super) fn rate(scenario: &PushScenario, runs: &Runs, condition: &str) -> Result<Figure> {
    let server = ContenderRuns::of(runs, Contender::Tidelog(scenario.load))?;
    let figure = Figure::new(format!("{}{condition}", scenario.load), server.rate()?, "ops/s");
    let Some(baseline) = scenario.baseline else { return Ok(figure) };
    let baseline = ContenderRuns::of(runs, baseline)?;
    Ok(figure.beside(baseline.rate()?, ratios(&server.rates(), &baseline.rates())))
}

fn add_cpu(scenario: &PushScenario, server: &ContenderRuns<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let (name, unit) = (scenario.load, "us/op");
    let server_us = server.spread(|run| run.sample.us_each(run.sample.cpu.server_s))?;
    let postgres_us = server.spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
    let generator_us = server.spread(|run| run.sample.us_each(run.sample.cpu.generator_s))?;
    let mut server = Figure::new(format!("{name}: CPU of the server"), server_us, unit);
    let mut postgres = Figure::new(format!("{name}: CPU of Postgres"), postgres_us, unit);
    if let Some(baseline) = scenario.baseline {
        let baseline_us =
            ContenderRuns::of(runs, baseline)?.spread(|run| run.sample.us_each(run.sample.cpu.postgres_s))?;
        postgres = postgres.beside(baseline_us, None);
    }
    if scenario.scenario == Scenario::Push100 {
        (server, postgres) = (server.target(Target::AtMost(2.5)), postgres.target(Target::AtMost(8.0)));
    }
    report.add(server);
    report.add(postgres);
    report.add(Figure::new(format!("{name}: CPU of the generator"), generator_us, unit));
    Ok(())
}

/// Adds WAL and disk, beside those of the reference table.
fn add_bytes(name: PushLoad, server: &ContenderRuns<'_>, runs: &Runs, report: &mut Report) -> Result<()> {
    let copy = ContenderRuns::of(runs, Contender::Copy(BaselineTable::Reference))?;
    let wal = |run: &Run| run.sample.wal_bytes_each();
    let disk = |run: &Run| run.disk_bytes_each;
    let figures = [("WAL", server.spread(wal)?, copy.spread(wal)?), ("disk", server.spread(disk)?, copy.spread(disk)?)];
    for (what, value, baseline) in figures {
        let figure = Figure::new(format!("{name}: {what}"), value, "bytes/op");
        report.add(figure.beside(baseline, None).target(Target::RatioAtMost(1.15)));
    }
    Ok(())
}

/// Measures and adds the latencies at 50 % and at 80 % of the rate that the server has just reached.
async fn add_latencies(
    environment: &Environment,
    scenario: &PushScenario,
    server: &ContenderRuns<'_>,
    runs: &Runs,
    report: &mut Report,
) -> Result<()> {
    let shares: &[f64] = match (environment.plan.is_quick, scenario.load == PUSH_1) {
        (true, true) => &[0.5],
        (true, false) => &[],
        (false, _) => &[0.5, 0.8],
    };
    for share in shares {
        let pushes = push_latencies(environment, scenario.load, server.rate()?.median * share).await?;
        // The target is set for half load, of the server and of bare commits.
        let commits = match scenario.baseline {
            Some(Contender::Commit(clients)) if scenario.load == PUSH_1 && *share <= 0.5 => {
                let capacity = ContenderRuns::of(runs, Contender::Commit(clients))?.rate()?.median;
                Some(commit_latencies(environment, clients, capacity * share).await?)
            }
            _ => None,
        };
        for (quantile_name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let name = format!("{}: {quantile_name} at {:.0} % load", scenario.load, share * 100.0);
            let mut figure = Figure::new(name, Spread::one(pushes.quantile_ms(quantile)), "ms");
            if let Some(commits) = &commits {
                figure = figure.beside(Spread::one(commits.quantile_ms(quantile)), None);
                if quantile_name == "p50" {
                    figure = figure.target(Target::RatioAtMost(2.0));
                }
            }
            report.add(figure);
        }
    }
    Ok(())
}

/// The latencies of pushes at this rate, to a server on a fresh database.
async fn push_latencies(environment: &Environment, load: PushLoad, ops_per_second: f64) -> Result<Latencies> {
    let server = environment.serve(environment.database().await?, "gateway").await?;
    let (warmup, length) = window_of(environment);
    let encoded_ops = ops_per_second * (warmup + length).as_secs_f64() * 1.1;
    let pushers = push::connect(&load.settings(&server)?, load.devices(environment), encoded_ops as u64).await?;
    environment.postgres.checkpoint().await?;
    let control = Arc::new(LoadControl::default());
    let latencies = push::open_loop(pushers, ops_per_second, (warmup, length), &control).await?;
    server.check_events(control.done()).await?;
    server.end(&environment.postgres).await?;
    Ok(latencies)
}

/// The latencies of single-row commits at this rate, on a fresh database.
async fn commit_latencies(environment: &Environment, clients: usize, per_second: f64) -> Result<Latencies> {
    let database = environment.database().await?;
    environment.postgres.checkpoint().await?;
    let devices = environment.devices.first(clients, false);
    let latencies = commit::latencies(&database, devices, per_second, window_of(environment)).await?;
    environment.postgres.remove(database).await?;
    Ok(latencies)
}

fn window_of(environment: &Environment) -> (Duration, Duration) {
    (environment.plan.window.warmup, environment.plan.window.length)
}

/// The runs of one contender.
struct ContenderRuns<'a>(&'a [Run]);

impl<'a> ContenderRuns<'a> {
    fn of(runs: &'a Runs, contender: Contender) -> Result<Self> {
        let runs = runs.get(&contender).with_context(|| format!("{contender}: nothing was measured"))?;
        Ok(Self(runs))
    }

    /// Operations a second.
    fn rate(&self) -> Result<Spread> {
        Spread::of_rounds(self.rates())
    }

    fn rates(&self) -> Vec<f64> {
        self.0.iter().map(|run| run.sample.per_second()).collect()
    }

    fn spread(&self, figure: impl Fn(&Run) -> f64) -> Result<Spread> {
        Spread::of_rounds(self.0.iter().map(figure))
    }
}
