//! The rows of projecting: logs that are folded into records, beside the writing of those records alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidelog_core::wire::Encoding;
use tokio_postgres::Client;
use uuid::Uuid;

use super::push::PUSH_100;
use crate::bench::args::Row;
use crate::bench::bodies::Stencils;
use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::lab::Lab;
use crate::bench::limits::upsert::Copy;
use crate::bench::measure::{Pace, Sample, Stopwatch, end};
use crate::bench::push::{self, Pushing};
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};
use crate::output;

/// Who pushes what is projected.
const DEVICES: usize = 16;
/// Ops of a push.
const BATCH: u64 = 100;
/// Connections that write the records of several workspaces: more than a machine of few cores makes use of.
const CONNECTIONS: usize = 4;
/// Between two looks at the checkpoints.
const LOOK: Duration = Duration::from_millis(5);
/// Longest wait for a projector that gets nowhere.
const STUCK: Duration = Duration::from_secs(60);

/// What is projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    /// Records that are not there yet.
    New,
    /// Records that are.
    Updates,
}

/// One side in one round.
#[derive(Debug, Clone, Copy)]
struct Run {
    projected: Sample,
    limit_per_second: f64,
}

/// Runs the rows of projecting among `rows`.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    for (row, one_workspace) in [(Row::Project, false), (Row::ProjectOne, true)] {
        if !rows.contains(&row) {
            continue;
        }
        let mut runs: BTreeMap<Kind, Vec<Run>> = BTreeMap::new();
        for number in 1..=lab.plan.rounds {
            for (kind, run) in round(lab, one_workspace).await? {
                let (rate, limit) = (run.projected.per_second(), run.limit_per_second);
                output::note(format_args!("round {number}: projecting {kind:?}: {rate:.0}/s beside {limit:.0}/s"));
                runs.entry(kind).or_default().push(run);
            }
        }
        for (kind, runs) in runs {
            add(kind, one_workspace, &runs, report)?;
        }
    }
    if rows.contains(&Row::Lag) {
        lag(lab, report).await?;
    }
    Ok(())
}

/// New records, then updates of them, each projected and then written again without folding.
async fn round(lab: &Lab, one_workspace: bool) -> Result<Vec<(Kind, Run)>> {
    let database = lab.database().await?;
    let devices = lab.fleet.devices(DEVICES, one_workspace);
    let mut workspaces: Vec<Uuid> = devices.iter().map(|device| device.workspace).collect();
    workspaces.dedup();
    let events: u64 = if lab.plan.quick { 16_000 } else { 64_000 };
    let connections = if one_workspace { 1 } else { CONNECTIONS };
    let (mut copy, mut runs) = (None, Vec::new());
    for (kind, pushed_before) in [(Kind::New, 0), (Kind::Updates, events)] {
        push_all(lab, &database, devices, (pushed_before, events)).await?;
        let projected = fold_all(lab, &database).await?;
        let table = match copy.take() {
            Some(table) => table,
            None => Copy::create(&database).await?,
        };
        lab.postgres.checkpoint().await?;
        let (rows, seconds) = table.upsert(&workspaces, connections).await?;
        ensure!(rows == events, "{events} ops made {rows} records");
        copy = Some(table);
        runs.push((kind, Run { projected, limit_per_second: rows as f64 / seconds }));
    }
    lab.postgres.remove(database).await?;
    Ok(runs)
}

/// Pushes so many ops of as many records, by a server without a projector. What was pushed before is written again.
pub(super) async fn push_all(
    lab: &Lab,
    database: &Database,
    devices: &[Device],
    (before, ops): (u64, u64),
) -> Result<()> {
    let subject = lab.serve(database.clone(), "gateway").await?;
    let each = ops / devices.len() as u64;
    let encoding = Encoding::MessagePack;
    let stencils = Arc::new(Stencils::with_records(encoding, each)?);
    let pushing = Pushing { address: subject.address, batch: BATCH, encoding, stencils };
    let last_seq = before / devices.len() as u64;
    let alone = devices.iter().map(|device| vec![(device.clone(), last_seq)]).collect();
    let pushers = push::connect_crews(&pushing, alone, 0).await?;
    push::batches(pushers, each / BATCH).await?;
    subject.server.stop()
}

/// Lets a projector fold what there is, and measures it from its first step on.
pub(super) async fn fold_all(lab: &Lab, database: &Database) -> Result<Sample> {
    let client = database.connect().await?;
    let head = head_of(&client).await?;
    let before = projected(&client).await?;
    lab.postgres.checkpoint().await?;
    let server = lab.project(database)?;
    let first = wait(&client, |position| position > before).await?;
    let watch = Stopwatch::start(&lab.postgres, Some(server.pid())).await?;
    wait(&client, |position| position >= head).await?;
    let sample = watch.stop((head - first).cast_unsigned()).await?;
    server.stop()?;
    Ok(sample)
}

/// Waits until the checkpoints, all together, are where they should be.
async fn wait(client: &Client, is_there: impl Fn(i64) -> bool) -> Result<i64> {
    let (mut position, mut moved) = (0, Instant::now());
    loop {
        let now = projected(client).await?;
        if is_there(now) {
            return Ok(now);
        }
        if now != position {
            (position, moved) = (now, Instant::now());
        }
        ensure!(moved.elapsed() < STUCK, "nothing was projected for {} s", STUCK.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}

async fn head_of(client: &Client) -> Result<i64> {
    let sql =
        "SELECT sum(head)::bigint FROM (SELECT max(position) AS head FROM tidelog.log GROUP BY workspace) AS heads";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

async fn projected(client: &Client) -> Result<i64> {
    Ok(client.query_one("SELECT sum(position)::bigint FROM tidelog.checkpoints WHERE live", &[]).await?.try_get(0)?)
}

/// How long gateway and projector together take until nothing lags, beside how long pushes came.
async fn lag(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut runs = Vec::new();
    for _ in 0..lab.plan.rounds {
        let subject = lab.serve(lab.database().await?, "gateway,projector").await?;
        let pushers = push::connect(&PUSH_100.pushing(&subject)?, PUSH_100.devices(lab), 0).await?;
        let client = subject.database.connect().await?;
        lab.postgres.checkpoint().await?;
        let pace = Arc::new(Pace::default());
        let begin = Instant::now();
        let clients = push::closed_loop(pushers, &pace);
        tokio::time::sleep(lab.plan.window.length).await;
        end(&pace, clients).await?;
        let pushed = begin.elapsed().as_secs_f64();
        let head = head_of(&client).await?;
        wait(&client, |position| position >= head).await?;
        let all = begin.elapsed().as_secs_f64();
        output::note(format_args!("lag: {} ops pushed in {pushed:.1} s, projected after {all:.1} s", pace.done()));
        runs.push((pushed, all));
        subject.end(lab).await?;
    }
    let spread = |of: fn(&(f64, f64)) -> f64| Spread::of(runs.iter().map(of)).context("no rounds");
    let (pushed, all) = (spread(|(pushed, _)| *pushed)?, spread(|(_, all)| *all)?);
    let ratio = Spread::of(runs.iter().map(|(pushed, all)| all / pushed));
    let name = "projecting while 16 devices push at full speed: until nothing lags, from the first push";
    report.add(Figure::new(name, all, "s").beside(pushed, ratio).target(Target::RatioAtMost(2.0)));
    Ok(())
}

fn add(kind: Kind, one_workspace: bool, runs: &[Run], report: &mut Report) -> Result<()> {
    let what = match kind {
        Kind::New => "new records",
        Kind::Updates => "updates of existing records",
    };
    let place = if one_workspace { "ONE workspace" } else { "16 workspaces" };
    let name = format!("projecting {what}, {place}");
    let rates: Vec<f64> = runs.iter().map(|run| run.projected.per_second()).collect();
    let limits: Vec<f64> = runs.iter().map(|run| run.limit_per_second).collect();
    let spread = |values: &[f64]| Spread::of(values.iter().copied()).context("no rounds");
    let figure = Figure::new(name.clone(), spread(&rates)?, "events/s");
    report.add(figure.beside(spread(&limits)?, ratios(&rates, &limits)).target(Target::RatioAtLeast(0.5)));
    let each = |seconds: fn(&Sample) -> f64| {
        Spread::of(runs.iter().map(|run| run.projected.us_each(seconds(&run.projected)))).context("no rounds")
    };
    report.add(Figure::new(format!("{name}: CPU of the server"), each(|sample| sample.cpu.server_s)?, "us/event"));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), each(|sample| sample.cpu.postgres_s)?, "us/event"));
    Ok(())
}
