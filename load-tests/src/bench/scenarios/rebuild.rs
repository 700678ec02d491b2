//! The rebuild scenario: `tidelog rebuild` as a process of its own, alone and while devices push, beside the projector that
//! folded the same log first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tidelog_core::wire::Encoding;

use super::project::{PushCounts, fold_all, push_all};
use super::push::{Contender, PUSH_100};
use crate::bench::environment::Environment;
use crate::bench::environment::cluster::Database;
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::generator::push::{self, PushSettings, PushingDevice};
use crate::bench::measure::LoadControl;
use crate::bench::measure::spread::{Spread, ratios};
use crate::bench::plan::{Plan, Scenario};
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;

/// Limit of the events in the log that is rebuilt.
const EVENTS_MAX: u64 = 1_000_000;
/// Events of that log for each second of a measurement: full batches of each device.
const EVENTS_PER_SECOND: u64 = 256_000;
/// Events of that log in a quick run: full batches of each device.
const EVENTS_QUICK: u64 = 160_000;
/// The rate of the pushes beside a rebuild, as a share of what the server can take.
const PUSH_SHARE: f64 = 0.25;
/// The roles of the servers that take those pushes: one that also projects them, and one that does not.
const SERVER_ROLES: [&str; 2] = ["gateway,projector", "gateway"];
/// Longest wait for a rebuild. Pushes beside it are sent for at most as long.
const REBUILD_TIMEOUT: Duration = Duration::from_secs(600);

/// What `tidelog rebuild --json` prints.
#[derive(Deserialize)]
struct RebuildOutput {
    rebuilt: Vec<RebuiltWorkspace>,
}

#[derive(Deserialize)]
struct RebuiltWorkspace {
    /// The position up to which the workspace was rebuilt, which is also the number of its events.
    position: u64,
}

/// A run of `tidelog rebuild`, from the start of the process to its end.
#[derive(Debug, Clone, Copy)]
struct Rebuild {
    events: u64,
    seconds: f64,
}

/// A run of `tidelog rebuild` while devices pushed.
#[derive(Debug, Clone, Copy)]
struct RebuildUnderLoad {
    rebuild: Rebuild,
    /// Ops a second that were due.
    offered: f64,
    /// Ops a second that were acknowledged.
    acknowledged: f64,
    /// The p99 latency of the pushes.
    p99_ms: f64,
}

/// One round, all of it on the same log.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Events a second of the projector that folds the log first.
    projector_per_second: f64,
    alone: Rebuild,
    /// The rebuilds beside servers with each of [`SERVER_ROLES`].
    under_load: [RebuildUnderLoad; SERVER_ROLES.len()],
}

impl Rebuild {
    fn per_second(self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Runs the rebuild scenario if the plan has it.
pub(super) async fn run(environment: &Environment, report: &mut Report) -> Result<()> {
    if !environment.plan.scenarios.contains(&Scenario::Rebuild) {
        return Ok(());
    }
    let events = events_of(&environment.plan);
    let mut rounds = Vec::new();
    for round_number in 1..=environment.plan.rounds {
        let round = run_round(environment, events).await?;
        note_round(round_number, &round);
        rounds.push(round);
    }
    add(events, &rounds, report)
}

fn note_round(round_number: u32, round: &Round) {
    let (alone, projector) = (number(round.alone.per_second()), number(round.projector_per_second));
    output::note(format_args!("round {round_number}: rebuild alone: {alone} events/s, projector {projector} events/s"));
    for (roles, under_load) in SERVER_ROLES.iter().zip(round.under_load) {
        let RebuildUnderLoad { rebuild, acknowledged, .. } = under_load;
        let (rate, events, pushed) = (number(rebuild.per_second()), rebuild.events as f64, number(acknowledged));
        output::note(format_args!(
            "round {round_number}: rebuild while devices push to {roles}: {rate} events/s of {} events, {pushed} ops/s \
             pushed",
            number(events)
        ));
    }
}

/// The number of events in the log that is rebuilt.
fn events_of(plan: &Plan) -> u64 {
    match plan.is_quick {
        true => EVENTS_QUICK,
        false => (plan.window.length.as_secs() * EVENTS_PER_SECOND).min(EVENTS_MAX),
    }
}

async fn run_round(environment: &Environment, events: u64) -> Result<Round> {
    let capacity = Contender::Tidelog(PUSH_100).run(environment, 1.0).await?.sample.per_second();
    let database = environment.database().await?;
    let counts = PushCounts { before: 0, ops: events };
    push_all(environment, &database, PUSH_100.devices(environment), counts).await?;
    environment.postgres.fill_page_cache().await?;
    let projector_per_second = fold_all(environment, &database).await?.per_second();
    environment.postgres.checkpoint().await?;
    let alone = rebuild(environment, &database).await?;
    ensure!(alone.events >= events, "{} of {events} events were rebuilt", alone.events);
    // The next rebuild would drop the replaced tables otherwise, within its time.
    environment.run_command(&database, &["rebuild", "drop", "--json"], REBUILD_TIMEOUT).await?;
    let copy = environment.postgres.create(Some(&database)).await?;
    let pushes = (events, capacity * PUSH_SHARE);
    let under_load = [
        rebuild_under_load(environment, database, SERVER_ROLES[0], pushes).await?,
        rebuild_under_load(environment, copy, SERVER_ROLES[1], pushes).await?,
    ];
    Ok(Round { projector_per_second, alone, under_load })
}

async fn rebuild(environment: &Environment, database: &Database) -> Result<Rebuild> {
    let begin = Instant::now();
    let output = environment.run_command(database, &["rebuild", "--json"], REBUILD_TIMEOUT).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let output: RebuildOutput =
        serde_json::from_value(output).context("the output of `tidelog rebuild` cannot be read")?;
    Ok(Rebuild { events: output.rebuilt.iter().map(|workspace| workspace.position).sum(), seconds })
}

/// A rebuild while devices push `ops_per_second` to a server with these roles. They have pushed `pushed_before` ops before.
async fn rebuild_under_load(
    environment: &Environment,
    database: Database,
    roles: &str,
    (pushed_before, ops_per_second): (u64, f64),
) -> Result<RebuildUnderLoad> {
    let server = environment.serve(database, roles).await?;
    let devices = PUSH_100.devices(environment);
    let last_seq = pushed_before / devices.len() as u64;
    let encoding = Encoding::MessagePack;
    let templates = Arc::new(OpTemplates::new(encoding)?);
    let settings = PushSettings { address: server.address, batch: PUSH_100.batch, encoding, templates };
    let devices = devices.iter().map(|device| vec![PushingDevice { device: device.clone(), last_seq }]).collect();
    let pushers = push::connect_shared(&settings, devices, 0).await?;
    environment.postgres.checkpoint().await?;
    let (control, warmup) = (Arc::new(LoadControl::default()), environment.plan.window.warmup);
    let window = (warmup, REBUILD_TIMEOUT);
    let rebuilding = async {
        tokio::time::sleep(warmup).await;
        let (before, begin) = (control.done(), Instant::now());
        let rebuilt = rebuild(environment, &server.database).await;
        let acknowledged = (control.done() - before) as f64 / begin.elapsed().as_secs_f64();
        control.stop();
        Ok::<_, anyhow::Error>((rebuilt?, acknowledged))
    };
    let (pushes, rebuilt) = tokio::join!(push::open_loop(pushers, ops_per_second, window, &control), rebuilding);
    let (p99_ms, (rebuild, acknowledged)) = (pushes?.quantile_ms(0.99), rebuilt?);
    server.check_events(pushed_before + control.done()).await?;
    server.end(&environment.postgres).await?;
    Ok(RebuildUnderLoad { rebuild, offered: ops_per_second, acknowledged, p99_ms })
}

fn add(events: u64, rounds: &[Round], report: &mut Report) -> Result<()> {
    let figure_beside = |name: &str, unit, (values, baselines): (&[f64], &[f64]), target| {
        let figure = Figure::new(name, Spread::of_rounds(values.iter().copied())?, unit);
        let baseline = Spread::of_rounds(baselines.iter().copied())?;
        let figure = figure.beside(baseline, ratios(values, baselines));
        Ok::<_, anyhow::Error>(figure.target(Target::RatioAtLeast(target)))
    };
    let projector: Vec<f64> = rounds.iter().map(|round| round.projector_per_second).collect();
    let alone: Vec<f64> = rounds.iter().map(|round| round.alone.per_second()).collect();
    let name = format!("rebuild of {} events, 16 workspaces", number(events as f64));
    report.add(figure_beside(&format!("{name}, alone"), "events/s", (&alone, &projector), 0.8)?);
    for (index, roles) in SERVER_ROLES.iter().enumerate() {
        let values = |of: fn(&RebuildUnderLoad) -> f64| {
            rounds.iter().map(|round| of(&round.under_load[index])).collect::<Vec<_>>()
        };
        let name = format!("{name}, {:.0} % of capacity pushed to {roles}", PUSH_SHARE * 100.0);
        let rates = values(|under_load| under_load.rebuild.per_second());
        report.add(figure_beside(&name, "events/s", (&rates, &projector), 0.5)?);
        let acknowledged = values(|under_load| under_load.acknowledged);
        let offered = values(|under_load| under_load.offered);
        let pushes_name = format!("{name}: pushes acknowledged, of those offered");
        report.add(figure_beside(&pushes_name, "ops/s", (&acknowledged, &offered), 0.95)?);
        let p99_ms = Spread::of_rounds(values(|under_load| under_load.p99_ms))?;
        report.add(Figure::new(format!("{name}: p99 of the pushes"), p99_ms, "ms"));
    }
    Ok(())
}
