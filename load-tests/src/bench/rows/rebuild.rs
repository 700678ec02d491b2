//! The rows of rebuilding: `tidelog rebuild` as a process of its own, beside the projector that folded the same log first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tidelog_core::wire::Encoding;

use super::project::{fold_all, push_all};
use super::push::{PUSH_100, Side};
use crate::bench::args::{Plan, Row};
use crate::bench::bodies::Stencils;
use crate::bench::cluster::Database;
use crate::bench::lab::Lab;
use crate::bench::measure::Pace;
use crate::bench::push::{self, Pushing};
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};
use crate::output;

/// Events of the log at most.
const EVENTS_MAX: u64 = 1_000_000;
/// Events of the log for each second of the plan, and for a first look: whole batches of each device.
const EVENTS_PER_SECOND: u64 = 256_000;
const EVENTS_QUICK: u64 = 160_000;
/// What is pushed meanwhile, of what can be pushed.
const LOAD: f64 = 0.25;
/// The roles of the server that takes the pushes: one that folds them too, and one that leaves that for later.
const SERVERS: [&str; 2] = ["gateway,projector", "gateway"];
/// Longest wait for a rebuild; pushes are offered for as long.
const REBUILD_MAX: Duration = Duration::from_secs(600);

/// What `tidelog rebuild --json` answers.
#[derive(Deserialize)]
struct Response {
    rebuilt: Vec<Rebuilt>,
}

#[derive(Deserialize)]
struct Rebuilt {
    position: u64,
}

/// What was rebuilt by one process, from its start to its end.
#[derive(Debug, Clone, Copy)]
struct Rebuild {
    events: u64,
    seconds: f64,
}

/// A rebuild, and what was pushed meanwhile.
#[derive(Debug, Clone, Copy)]
struct Loaded {
    rebuild: Rebuild,
    /// Ops a second that were due, and that were acknowledged.
    offered: f64,
    acknowledged: f64,
    p99_ms: f64,
}

/// One round: all of it on the same log.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Events a second of the projector, which folds the log from its start.
    normal: f64,
    alone: Rebuild,
    /// Beside each of [`SERVERS`].
    loaded: [Loaded; SERVERS.len()],
}

impl Rebuild {
    fn per_second(self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Runs the rows of rebuilding, if they are among `rows`.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    if !rows.contains(&Row::Rebuild) {
        return Ok(());
    }
    let events = events_of(&lab.plan);
    let mut rounds = Vec::new();
    for number in 1..=lab.plan.rounds {
        let round = round(lab, events).await?;
        let (normal, alone) = (round.normal, round.alone.per_second());
        output::note(format_args!("round {number}: rebuild: {alone:.0}/s alone, the projector {normal:.0}/s"));
        for (roles, Loaded { rebuild, acknowledged, .. }) in SERVERS.iter().zip(round.loaded) {
            let (rate, events) = (rebuild.per_second(), rebuild.events);
            output::note(format_args!("  {rate:.0}/s, {events} events, beside {roles} with {acknowledged:.0} ops/s"));
        }
        rounds.push(round);
    }
    add(events, &rounds, report)
}

/// Events of the log that is rebuilt.
fn events_of(plan: &Plan) -> u64 {
    match plan.quick {
        true => EVENTS_QUICK,
        false => (plan.window.length.as_secs() * EVENTS_PER_SECOND).min(EVENTS_MAX),
    }
}

async fn round(lab: &Lab, events: u64) -> Result<Round> {
    let capacity = Side::Tidelog(PUSH_100).run(lab, 1.0).await?.sample.per_second();
    let database = lab.database().await?;
    push_all(lab, &database, PUSH_100.devices(lab), (0, events)).await?;
    lab.postgres.fill_page_cache().await?;
    let normal = fold_all(lab, &database).await?.per_second();
    lab.postgres.checkpoint().await?;
    let alone = rebuild(lab, &database).await?;
    ensure!(alone.events >= events, "{} of {events} events were rebuilt", alone.events);
    // Else dropping it would be part of the next one's time.
    lab.ask(&database, &["rebuild", "drop", "--json"], REBUILD_MAX).await?;
    let copy = lab.postgres.create(Some(&database)).await?;
    let loaded = [
        rebuild_while_pushed(lab, database, SERVERS[0], (events, capacity * LOAD)).await?,
        rebuild_while_pushed(lab, copy, SERVERS[1], (events, capacity * LOAD)).await?,
    ];
    Ok(Round { normal, alone, loaded })
}

async fn rebuild(lab: &Lab, database: &Database) -> Result<Rebuild> {
    let begin = Instant::now();
    let answer = lab.ask(database, &["rebuild", "--json"], REBUILD_MAX).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let answer: Response = serde_json::from_value(answer).context("the answer of `tidelog rebuild`")?;
    Ok(Rebuild { events: answer.rebuilt.iter().map(|one| one.position).sum(), seconds })
}

/// A rebuild beside a server of these roles that takes so many ops a second, after those that were `pushed` before.
async fn rebuild_while_pushed(
    lab: &Lab,
    database: Database,
    roles: &str,
    (pushed, offered): (u64, f64),
) -> Result<Loaded> {
    let subject = lab.serve(database, roles).await?;
    let devices = PUSH_100.devices(lab);
    let last_seq = pushed / devices.len() as u64;
    let encoding = Encoding::MessagePack;
    let stencils = Arc::new(Stencils::new(encoding)?);
    let pushing = Pushing { address: subject.address, batch: PUSH_100.batch, encoding, stencils };
    let alone = devices.iter().map(|device| vec![(device.clone(), last_seq)]).collect();
    let pushers = push::connect_crews(&pushing, alone, 0).await?;
    lab.postgres.checkpoint().await?;
    let (pace, warmup) = (Arc::new(Pace::default()), lab.plan.window.warmup);
    let window = (warmup, REBUILD_MAX);
    let rebuilding = async {
        tokio::time::sleep(warmup).await;
        let (before, begin) = (pace.done(), Instant::now());
        let rebuilt = rebuild(lab, &subject.database).await;
        let acknowledged = (pace.done() - before) as f64 / begin.elapsed().as_secs_f64();
        pace.end();
        Ok::<_, anyhow::Error>((rebuilt?, acknowledged))
    };
    let (pushes, rebuilt) = tokio::join!(push::open_loop(pushers, offered, window, &pace), rebuilding);
    let (p99_ms, (rebuild, acknowledged)) = (pushes?.quantile_ms(0.99), rebuilt?);
    subject.check_events(pushed + pace.done()).await?;
    subject.end(lab).await?;
    Ok(Loaded { rebuild, offered, acknowledged, p99_ms })
}

fn add(events: u64, rounds: &[Round], report: &mut Report) -> Result<()> {
    let spread = |values: &[f64]| Spread::of(values.iter().copied()).context("no rounds");
    let beside = |name: &str, unit, (rates, limits): (&[f64], &[f64]), least| {
        let figure = Figure::new(name, spread(rates)?, unit).beside(spread(limits)?, ratios(rates, limits));
        Ok::<_, anyhow::Error>(figure.target(Target::RatioAtLeast(least)))
    };
    let normal: Vec<f64> = rounds.iter().map(|round| round.normal).collect();
    let alone: Vec<f64> = rounds.iter().map(|round| round.alone.per_second()).collect();
    let name = format!("rebuild of {events} events, 16 workspaces");
    report.add(beside(&format!("{name}, alone"), "events/s", (&alone, &normal), 0.8)?);
    for (number, roles) in SERVERS.iter().enumerate() {
        let values = |of: fn(&Loaded) -> f64| rounds.iter().map(|round| of(&round.loaded[number])).collect::<Vec<_>>();
        let name = format!("{name}, {:.0} % of capacity pushed to {roles}", LOAD * 100.0);
        let rates = values(|loaded| loaded.rebuild.per_second());
        report.add(beside(&name, "events/s", (&rates, &normal), 0.5)?);
        let pushed = (values(|loaded| loaded.acknowledged), values(|loaded| loaded.offered));
        report.add(beside(&format!("{name}: acknowledged"), "ops/s", (&pushed.0, &pushed.1), 0.95)?);
        let p99 = spread(&values(|loaded| loaded.p99_ms))?;
        report.add(Figure::new(format!("{name}: p99 of the pushes"), p99, "ms"));
    }
    Ok(())
}
