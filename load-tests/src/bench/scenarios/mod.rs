//! The scenarios: each runs its contenders and adds the figures that come out to the report.

mod growth;
mod memory;
mod overload;
mod project;
mod pull;
mod push;
mod rebuild;

use anyhow::{Context, Result, bail};

use super::args::BenchArgs;
use super::baseline::flush;
use super::environment::Environment;
use super::environment::cluster::Postgres;
use super::environment::devices::{DeviceCounts, Devices};
use super::measure::spread::Spread;
use super::plan::Scenario;
use super::report::{Figure, Report};
use crate::output;
use crate::server;

/// `shared_buffers` for all scenarios but [`growth`].
const SHARED_BUFFERS: &str = "1GB";
/// Devices of each kind: as many as the largest scenario needs.
const DEVICES: usize = 64;

/// Runs the scenarios that were asked for.
pub(super) async fn run(args: &BenchArgs) -> Result<Report> {
    if args.growth {
        return growth::run(args).await;
    }
    let program = server::program(args.tidelog.as_deref())?;
    let plan = args.plan();
    if plan.scenarios.iter().all(|scenario| Scenario::OVERLOAD.contains(scenario)) {
        return overload::run(args).await;
    }
    if plan.scenarios.iter().any(|scenario| Scenario::OVERLOAD.contains(scenario)) {
        bail!("the scenarios of overload run without others: they have devices of their own");
    }
    output::note("starting Postgres, and registering workspaces and devices");
    let slow_flushes = plan.scenarios.contains(&Scenario::SlowFlush);
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS, slow_flushes).await;
    let postgres = postgres.context("starting Postgres")?;
    let counts = DeviceCounts { in_own_workspaces: DEVICES, in_one_workspace: DEVICES };
    let devices = Devices::register(&postgres, &program, counts).await.context("registering devices")?;
    let environment = Environment { postgres, program, devices, plan, append_workers: args.append_workers() };
    let mut report = Report::new(environment.postgres.conditions().await?);
    let (flush_us, method) = flush::flush_us(&environment.postgres.programs()?, environment.postgres.dir()).await?;
    report.add(Figure::new(format!("flush of the disk ({method})"), Spread::one(flush_us), "us"));
    push::run(&environment, &mut report).await?;
    pull::run(&environment, &mut report).await?;
    project::run(&environment, &mut report).await?;
    rebuild::run(&environment, &mut report).await?;
    memory::run(&environment, &mut report).await?;
    push::run_with_slow_commits(&environment, &mut report).await?;
    Ok(report)
}
