//! The projecting scenarios: a projector folds logs into records, beside writing those records without folding.

mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use uuid::Uuid;

pub(super) use self::steps::{PushCounts, fold_all, push_all};
use self::steps::{sum_of_heads, wait_for_checkpoints};
use super::push::PUSH_100;
use crate::bench::baseline::upsert::RecordsCopy;
use crate::bench::environment::Environment;
use crate::bench::generator::push;
use crate::bench::measure::spread::{Spread, ratios};
use crate::bench::measure::{LoadControl, Sample, stop_clients};
use crate::bench::plan::Scenario;
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;

/// Devices whose ops are projected.
const DEVICES: usize = 16;
/// Connections of the baseline if there are several workspaces: more than a machine of few cores can use.
const CONNECTIONS: usize = 4;

/// What the projected ops do to records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum RecordChange {
    /// Each op creates a record.
    New,
    /// Each op changes a record that exists.
    Update,
}

/// What projector and baseline did in one round.
#[derive(Debug, Clone, Copy)]
struct Run {
    projector: Sample,
    baseline_per_second: f64,
}

impl fmt::Display for RecordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new records",
            Self::Update => "updates of existing records",
        })
    }
}

/// Runs the projecting scenarios of the plan.
pub(super) async fn run(environment: &Environment, report: &mut Report) -> Result<()> {
    for (scenario, one_workspace) in [(Scenario::Project, false), (Scenario::ProjectOne, true)] {
        if !environment.plan.scenarios.contains(&scenario) {
            continue;
        }
        let mut runs: BTreeMap<RecordChange, Vec<Run>> = BTreeMap::new();
        for round in 1..=environment.plan.rounds {
            for (change, run) in run_round(environment, one_workspace).await? {
                let (rate, baseline) = (number(run.projector.per_second()), number(run.baseline_per_second));
                let name = name_of(change, one_workspace);
                output::note(format_args!("round {round}: {name}: {rate} events/s, upserts alone {baseline} rows/s"));
                runs.entry(change).or_default().push(run);
            }
        }
        for (change, runs) in runs {
            add(&name_of(change, one_workspace), &runs, report)?;
        }
    }
    if environment.plan.scenarios.contains(&Scenario::Lag) {
        run_lag(environment, report).await?;
    }
    Ok(())
}

fn name_of(change: RecordChange, one_workspace: bool) -> String {
    let workspaces = if one_workspace { "ONE workspace".to_owned() } else { format!("{DEVICES} workspaces") };
    format!("projecting {change}, {workspaces}")
}

/// New records, then updates of them. Both are projected first, and then written again without folding.
async fn run_round(environment: &Environment, one_workspace: bool) -> Result<Vec<(RecordChange, Run)>> {
    let database = environment.database().await?;
    let devices = environment.devices.first(DEVICES, one_workspace);
    let mut workspaces: Vec<Uuid> = devices.iter().map(|device| device.workspace).collect();
    workspaces.dedup();
    let ops: u64 = if environment.plan.is_quick { 16_000 } else { 64_000 };
    let connections = if one_workspace { 1 } else { CONNECTIONS };
    let (mut copy, mut runs) = (None, Vec::new());
    for (change, before) in [(RecordChange::New, 0), (RecordChange::Update, ops)] {
        push_all(environment, &database, devices, PushCounts { before, ops }).await?;
        let projector = fold_all(environment, &database).await?;
        let records_copy = match copy.take() {
            Some(records_copy) => records_copy,
            None => RecordsCopy::create(&database).await?,
        };
        environment.postgres.checkpoint().await?;
        let (rows, seconds) = records_copy.upsert(&workspaces, connections).await?;
        ensure!(rows == ops, "there are {rows} records after {ops} ops, each of another record");
        copy = Some(records_copy);
        runs.push((change, Run { projector, baseline_per_second: rows as f64 / seconds }));
    }
    environment.postgres.remove(database).await?;
    Ok(runs)
}

/// The time from the first push until the projector has caught up, beside the time in which devices pushed at full speed.
async fn run_lag(environment: &Environment, report: &mut Report) -> Result<()> {
    let mut runs = Vec::new();
    for round in 1..=environment.plan.rounds {
        let server = environment.serve(environment.database().await?, "gateway,projector").await?;
        let pushers = push::connect(&PUSH_100.settings(&server)?, PUSH_100.devices(environment), 0).await?;
        let client = server.database.connect().await?;
        environment.postgres.checkpoint().await?;
        let control = Arc::new(LoadControl::default());
        let begin = Instant::now();
        let clients = push::closed_loop(pushers, &control);
        tokio::time::sleep(environment.plan.window.length).await;
        stop_clients(&control, clients).await?;
        let pushed_s = begin.elapsed().as_secs_f64();
        let head = sum_of_heads(&client).await?;
        wait_for_checkpoints(&client, |sum| sum >= head).await?;
        let projected_s = begin.elapsed().as_secs_f64();
        let ops = number(control.done() as f64);
        output::note(format_args!(
            "round {round}: lag: {ops} ops were pushed in {pushed_s:.2} s, and projected after {projected_s:.2} s"
        ));
        runs.push((pushed_s, projected_s));
        server.end(&environment.postgres).await?;
    }
    let pushed_s = Spread::of_rounds(runs.iter().map(|(pushed_s, _)| *pushed_s))?;
    let projected_s = Spread::of_rounds(runs.iter().map(|(_, projected_s)| *projected_s))?;
    let ratio = Spread::of(runs.iter().map(|(pushed_s, projected_s)| projected_s / pushed_s));
    let name = "projecting while 16 devices push at full speed: until nothing lags, from the first push";
    report.add(Figure::new(name, projected_s, "s").beside(pushed_s, ratio).target(Target::RatioAtMost(2.0)));
    Ok(())
}

fn add(name: &str, runs: &[Run], report: &mut Report) -> Result<()> {
    let rates: Vec<f64> = runs.iter().map(|run| run.projector.per_second()).collect();
    let baselines: Vec<f64> = runs.iter().map(|run| run.baseline_per_second).collect();
    let figure = Figure::new(name, Spread::of_rounds(rates.iter().copied())?, "events/s");
    let baseline = Spread::of_rounds(baselines.iter().copied())?;
    report.add(figure.beside(baseline, ratios(&rates, &baselines)).target(Target::RatioAtLeast(0.5)));
    let us_each = |seconds: fn(&Sample) -> f64| {
        Spread::of_rounds(runs.iter().map(|run| run.projector.us_each(seconds(&run.projector))))
    };
    report.add(Figure::new(format!("{name}: CPU of the server"), us_each(|sample| sample.cpu.server_s)?, "us/event"));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), us_each(|sample| sample.cpu.postgres_s)?, "us/event"));
    Ok(())
}
