//! `bench`: how fast Tidelog is beside the database under it, measured in turns in one run.

mod args;
mod bodies;
mod cluster;
mod cpu;
mod fleet;
mod growth;
mod http;
mod lab;
mod latency;
mod limits;
mod measure;
mod pull;
mod push;
mod report;
mod rows;
mod stats;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use args::BenchArgs;

use cluster::Postgres;
use fleet::Fleet;
use lab::Lab;
use report::{Figure, Report};
use stats::Spread;

use crate::server;

/// Postgres' cache, for everything but the row of growth.
const SHARED_BUFFERS: &str = "1GB";

/// Devices that have a workspace each, and devices that share one: as many as the largest row needs.
const DEVICES: usize = 64;

/// Runs the benchmark; its servers and files are gone afterwards, however it ends.
pub(crate) async fn run(args: &BenchArgs) -> Result<()> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let report = tokio::select! {
        report = measure_rows(args) => report?,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    report.print()?;
    report.write(&args.out)
}

async fn measure_rows(args: &BenchArgs) -> Result<Report> {
    if args.growth {
        return growth::run(args).await;
    }
    let program = server::program(args.tidelog.as_deref())?;
    let plan = args.plan();
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS).await.context("starting Postgres")?;
    let fleet =
        Fleet::prepare(&postgres, &program, (DEVICES, DEVICES)).await.context("preparing workspaces and devices")?;
    let lab = Lab { postgres, program, fleet, plan, append_workers: args.append_workers() };
    let mut report = Report::new(lab.postgres.conditions().await?);
    let (flush_us, by) = limits::flush::flush_us(&lab.postgres.programs()?, lab.postgres.dir()).await?;
    report.add(Figure::new(format!("flush of the disk ({by})"), Spread::one(flush_us), "us"));
    rows::push::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::pull::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::project::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::rebuild::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::memory::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::push::run_with_commit_delay(&lab, &lab.plan.rows, &mut report).await?;
    Ok(report)
}
