//! `bench --growth`: whether pushes and pulls stay as fast in a log that is larger than Postgres' cache, and while an old
//! snapshot keeps dead rows from being removed.

mod loads;
mod many_workspaces;
mod snapshot;

use std::path::Path;

use anyhow::{Context, Result};

use self::loads::GrowthLoad;
use self::many_workspaces::{DEVICES_EACH, EVENTS_EACH, ManyWorkspaces};
use crate::bench::args::BenchArgs;
use crate::bench::environment::Environment;
use crate::bench::environment::cluster::Postgres;
use crate::bench::environment::devices::{DeviceCounts, Devices};
use crate::bench::measure::spread::{Spread, ratios};
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;
use crate::server;

/// `shared_buffers`: smaller than the indexes of the large log.
const SHARED_BUFFERS: &str = "128MB";
const SHARED_BUFFERS_BYTES: f64 = 128.0 * 1024.0 * 1024.0;
/// Workspaces of the small log.
const SMALL_WORKSPACES: usize = 100;
/// Workspaces of the large log.
const LARGE_WORKSPACES: usize = 10_000;
/// Workspaces of the large log in a quick run.
const LARGE_WORKSPACES_QUICK: usize = 1_000;
/// The target for rates on the large log, as a share of those on the small one.
const RATIO_TARGET: f64 = 0.8;

/// Fills the logs and measures them.
pub(super) async fn run(args: &BenchArgs) -> Result<Report> {
    let program = server::program(args.tidelog.as_deref())?;
    let plan = args.plan();
    output::note("starting Postgres, and registering devices");
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS, false).await.context("starting Postgres")?;
    let counts = DeviceCounts { in_own_workspaces: 0, in_one_workspace: DEVICES_EACH };
    let devices = Devices::register(&postgres, &program, counts).await.context("registering devices")?;
    let environment = Environment { postgres, program, devices, plan, append_workers: args.append_workers() };
    let mut report = Report::new(environment.postgres.conditions().await?);
    let seed = ManyWorkspaces::seed(&environment).await.context("pushing the events that are copied")?;
    let small = ManyWorkspaces::copy_of(&environment, &seed, SMALL_WORKSPACES).await?;
    snapshot::run(&environment, &small, &mut report).await?;
    let large_workspaces = if environment.plan.is_quick { LARGE_WORKSPACES_QUICK } else { LARGE_WORKSPACES };
    let large = ManyWorkspaces::copy_of(&environment, &seed, large_workspaces).await?;
    add_sizes(&environment, &large, &mut report).await?;
    for load in [GrowthLoad::Pull, GrowthLoad::PushByFew, GrowthLoad::PushByAll] {
        compare(&environment, load, (&small, &large), &mut report).await?;
    }
    Ok(report)
}

/// Adds the size of the log and the disk that the run takes.
async fn add_sizes(environment: &Environment, log: &ManyWorkspaces, report: &mut Report) -> Result<()> {
    let devices = log.workspaces.len() * DEVICES_EACH;
    let events = devices as u64 * EVENTS_EACH;
    let name = format!("log of {} events of {} devices", number(events as f64), number(devices as f64));
    let (table, indexes) = log.table_and_index_bytes().await?;
    let mib = |bytes: f64| Spread::one(bytes / 1024.0 / 1024.0);
    report.add(Figure::new(format!("{name}: table and indexes"), mib(table + indexes), "MiB"));
    let figure = Figure::new(format!("{name}: indexes, beside shared_buffers"), mib(indexes), "MiB");
    report.add(figure.beside(mib(SHARED_BUFFERS_BYTES), None));
    let disk = disk_bytes(environment.postgres.dir())? as f64;
    report.add(Figure::new("disk that this run takes, with its WAL", mib(disk), "MiB"));
    Ok(())
}

/// Measures a load on the small and the large log in turns, and adds its figures.
async fn compare(
    environment: &Environment,
    load: GrowthLoad,
    (small, large): (&ManyWorkspaces, &ManyWorkspaces),
    report: &mut Report,
) -> Result<()> {
    let name = load.name(large.workspaces.len() * DEVICES_EACH);
    let (mut rates, mut small_rates) = (Vec::new(), Vec::new());
    let (mut server_us, mut postgres_us) = (Vec::new(), Vec::new());
    for round in 1..=environment.plan.rounds {
        // Each round begins with other workspaces, since the rows of those of an earlier round are cached.
        let offset = f64::from(round) / f64::from(environment.plan.rounds + 1);
        let on_small = load.measure(environment, small, offset).await?;
        let on_large = load.measure(environment, large, offset).await?;
        small_rates.push(on_small.per_second());
        rates.push(on_large.per_second());
        server_us.push(on_large.us_each(on_large.cpu.server_s));
        postgres_us.push(on_large.us_each(on_large.cpu.postgres_s));
        output::note(format_args!(
            "round {round}: {name}: {} {unit}, on the small log {} {unit}",
            number(on_large.per_second()),
            number(on_small.per_second()),
            unit = load.rate_unit()
        ));
    }
    let figure = Figure::new(name.clone(), Spread::of_rounds(rates.iter().copied())?, load.rate_unit());
    let figure = figure.beside(Spread::of_rounds(small_rates.iter().copied())?, ratios(&rates, &small_rates));
    report.add(figure.target(Target::RatioAtLeast(RATIO_TARGET)));
    let unit = load.cpu_unit();
    report.add(Figure::new(format!("{name}: CPU of the server"), Spread::of_rounds(server_us)?, unit));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), Spread::of_rounds(postgres_us)?, unit));
    Ok(())
}

/// The size of all files below a directory. Files may appear and disappear meanwhile.
fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        bytes += if metadata.is_dir() { disk_bytes(&path).unwrap_or(0) } else { metadata.len() };
    }
    Ok(bytes)
}
