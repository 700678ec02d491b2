//! `bench`: how fast Tidelog is beside the database under it, measured in turns in one run.

mod args;
mod bodies;
mod cluster;
mod cpu;
mod fleet;
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

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use args::BenchArgs;

use cluster::Postgres;
use fleet::Fleet;
use lab::Lab;
use report::Report;

use crate::server;

/// Postgres' cache, for everything but the row of growth.
const SHARED_BUFFERS: &str = "1GB";

/// Runs the benchmark; its servers and files are gone afterwards, however it ends.
pub(crate) async fn run(args: &BenchArgs) -> Result<()> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let report = tokio::select! {
        report = measure_all(args) => report?,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    report.print()?;
    report.write(&args.out)
}

async fn measure_all(args: &BenchArgs) -> Result<Report> {
    let program = server::program(args.tidelog.as_deref())?;
    let plan = args.plan();
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS).await.context("starting Postgres")?;
    let fleet = Fleet::prepare(&postgres, &program).await.context("preparing workspaces and devices")?;
    let lab = Lab { postgres, program, fleet, plan, append_lanes: usize::from(args.append_lanes) };
    let mut report = Report::default();
    rows::push::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::pull::run(&lab, &lab.plan.rows, &mut report).await?;
    rows::project::run(&lab, &lab.plan.rows, &mut report).await?;
    Ok(report)
}
