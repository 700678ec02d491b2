//! `bench --growth`: whether pushes and pulls stay as fast in a log that has grown past Postgres' cache, and while an old
//! snapshot keeps dead rows alive.

mod crowd;
mod snapshot;

use std::sync::Arc;

use anyhow::{Context, Result};

use self::crowd::{Crowd, DEVICES, EVENTS_EACH};
use super::args::BenchArgs;
use super::cluster::Postgres;
use super::fleet::Fleet;
use super::lab::{Lab, Subject};
use super::measure::{Clients, Pace, Sample, measure};
use super::pull::{Form, Puller};
use super::push::{self, Pushing};
use super::report::{Figure, Report, Target};
use super::stats::{Spread, ratios};
use crate::output;
use crate::server;

/// Postgres' cache: smaller than the indexes of the large log.
const SHARED_BUFFERS: &str = "128MB";
const SHARED_BUFFERS_BYTES: f64 = 128.0 * 1024.0 * 1024.0;
/// Workspaces of the small log and of the large one; a first look has a smaller large one.
const SMALL: usize = 100;
const LARGE: usize = 10_000;
const LARGE_QUICK: usize = 1_000;
/// Connections that push at once, and ops of a push.
const CONNECTIONS: usize = 16;
const BATCH: u64 = 100;
/// Devices that push where not all of them do.
const FEW: usize = 1_000;
/// Clients that pull at once.
const READERS: usize = 2;
/// How far pushes and pulls may fall behind those of the small log.
const AT_LEAST: f64 = 0.8;

/// What is measured in turns, on both logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Every push by another device, until all have pushed.
    PushAll,
    /// Pushes by as many devices as the small log has.
    PushFew,
    /// First pulls of one workspace after another.
    Pull,
}

/// Measures it.
pub(crate) async fn run(args: &BenchArgs) -> Result<Report> {
    let program = server::program(args.tidelog.as_deref())?;
    let plan = args.plan();
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS).await.context("starting Postgres")?;
    let fleet = Fleet::prepare(&postgres, &program, (0, DEVICES)).await.context("preparing devices")?;
    let lab = Lab { postgres, program, fleet, plan, append_workers: args.append_workers() };
    let mut report = Report::new(lab.postgres.conditions().await?);
    let large = if lab.plan.quick { LARGE_QUICK } else { LARGE };
    let seed = Crowd::seed(&lab).await.context("pushing the events that are multiplied")?;
    let small = Crowd::grow(&lab, &seed, SMALL).await?;
    snapshot::run(&lab, &small, &mut report).await?;
    let large = Crowd::grow(&lab, &seed, large).await?;
    sizes(&lab, &large, &mut report).await?;
    for what in [What::Pull, What::PushFew, What::PushAll] {
        compare(&lab, what, &small, &large, &mut report).await?;
    }
    Ok(report)
}

/// How large the log is, and what it takes.
async fn sizes(lab: &Lab, crowd: &Crowd, report: &mut Report) -> Result<()> {
    let events = (crowd.workspaces.len() * DEVICES) as u64 * EVENTS_EACH;
    let devices = crowd.workspaces.len() * DEVICES;
    let name = format!("log of {events} events of {devices} devices");
    let (table, indexes) = crowd.sizes().await?;
    let mib = |bytes: f64| Spread::one(bytes / 1024.0 / 1024.0);
    report.add(Figure::new(format!("{name}: table and indexes"), mib(table + indexes), "MiB"));
    let figure = Figure::new(format!("{name}: indexes, beside shared_buffers"), mib(indexes), "MiB");
    report.add(figure.beside(mib(SHARED_BUFFERS_BYTES), None));
    report.add(Figure::new(
        "disk that this row needs, WAL included",
        mib(disk_bytes(lab.postgres.dir())? as f64),
        "MiB",
    ));
    Ok(())
}

async fn compare(lab: &Lab, what: What, small: &Crowd, large: &Crowd, report: &mut Report) -> Result<()> {
    let (mut values, mut limits, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=lab.plan.rounds {
        for (crowd, rates) in [(small, &mut limits), (large, &mut values)] {
            // Where others were before, caches are warm.
            let turn = f64::from(round) / f64::from(lab.plan.rounds + 1);
            let sample = run_on(lab, what, crowd, turn).await?;
            let workspaces = crowd.workspaces.len();
            output::note(format_args!(
                "round {round}: {what:?} in {workspaces} workspaces: {:.0}/s",
                sample.per_second()
            ));
            rates.push(sample.per_second());
            if workspaces > SMALL {
                cpu.push((sample.us_each(sample.cpu.server_s), sample.us_each(sample.cpu.postgres_s)));
            }
        }
    }
    let devices = large.workspaces.len() * DEVICES;
    let name = match what {
        What::PushAll => format!("push to the grown log, each by another of {devices} devices, x{BATCH}"),
        What::PushFew => format!("push to the grown log by {FEW} of {devices} devices, x{BATCH}"),
        What::Pull => format!("first pulls from the grown log, {READERS} clients"),
    };
    let unit = if what == What::Pull { "events/s" } else { "ops/s" };
    let spread = |values: &[f64]| Spread::of(values.iter().copied()).context("no rounds");
    let figure = Figure::new(name.clone(), spread(&values)?, unit).beside(spread(&limits)?, ratios(&values, &limits));
    report.add(figure.target(Target::RatioAtLeast(AT_LEAST)));
    let cpu_of = |of: fn(&(f64, f64)) -> f64| Spread::of(cpu.iter().map(of)).context("no rounds");
    report.add(Figure::new(format!("{name}: CPU of the server"), cpu_of(|cpu| cpu.0)?, "us each"));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), cpu_of(|cpu| cpu.1)?, "us each"));
    Ok(())
}

/// Measures one side, beginning with another part of the devices each `turn`.
async fn run_on(lab: &Lab, what: What, crowd: &Crowd, turn: f64) -> Result<Sample> {
    let subject = lab.serve(crowd.database.clone(), "gateway").await?;
    lab.postgres.checkpoint().await?;
    let pace = Arc::new(Pace::default());
    let clients = match what {
        What::PushAll => push(&subject, crowd, (usize::MAX, turn), &pace).await?,
        What::PushFew => push(&subject, crowd, (FEW, turn), &pace).await?,
        What::Pull => pull(&subject, crowd, turn, &pace)?,
    };
    let sample = measure(&lab.postgres, Some(subject.pid()), &pace, clients, lab.plan.window).await?;
    subject.server.stop()?;
    Ok(sample)
}

/// Devices of all workspaces, in no order, take turns on a few connections.
async fn push(subject: &Subject, crowd: &Crowd, (devices, turn): (usize, f64), pace: &Arc<Pace>) -> Result<Clients> {
    let pushing = Pushing::msgpack(subject.address, BATCH)?;
    let pushers = push::connect_crews(&pushing, crowd.crews(devices, turn, CONNECTIONS).await?, 0).await?;
    Ok(push::closed_loop(pushers, pace))
}

fn pull(subject: &Subject, crowd: &Crowd, turn: f64, pace: &Arc<Pace>) -> Result<Clients> {
    let mut clients = Clients::new();
    for reader in 0..READERS {
        let pace = Arc::clone(pace);
        let devices: Vec<_> = crowd.readers(turn).into_iter().skip(reader).step_by(READERS).collect();
        let mut puller = Puller::new(subject.address, devices.first().context("a log without readers")?)?;
        clients.spawn_blocking(move || {
            for device in devices.iter().cycle().take_while(|_| !pace.is_over()) {
                puller.become_device(device);
                pace.add(puller.pull(Form::Pages, "")?.events);
            }
            Ok(())
        });
    }
    Ok(clients)
}

/// What the files below a directory take; files come and go meanwhile.
fn disk_bytes(dir: &std::path::Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        bytes += if metadata.is_dir() { disk_bytes(&path).unwrap_or(0) } else { metadata.len() };
    }
    Ok(bytes)
}
