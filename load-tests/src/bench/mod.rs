//! `bench`: the throughput, latency, CPU and memory of a server, each beside what the Postgres under it can do alone.
//!
//! Server and baseline are measured in turns within one run, so that a slow minute of the machine slows both.

mod args;
mod baseline;
mod environment;
mod generator;
mod http;
mod measure;
mod plan;
mod report;
mod scenarios;
#[cfg(test)]
mod tests;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use args::BenchArgs;

/// Runs the benchmark. Its servers and files are removed afterwards, also after an error or an interrupt.
pub(crate) async fn run(args: &BenchArgs) -> Result<()> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let report = tokio::select! {
        report = scenarios::run(args) => report?,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    report.print(&args.out)?;
    report.write(&args.out)
}
