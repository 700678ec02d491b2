//! One measurement: a load runs, and what it and the machine did is counted within a window of time.

pub(crate) mod cpu;
pub(crate) mod latency;
mod load;
pub(crate) mod spread;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use self::cpu::{CpuSeconds, WatchedProcesses};
pub(crate) use self::load::{Clients, LoadControl, stop_clients};
use super::environment::cluster::Postgres;
use super::plan::Window;

/// What happened within a window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Finished operations: ops, rows or events.
    pub(crate) count: u64,
    /// Elapsed seconds.
    pub(crate) seconds: f64,
    /// CPU time used.
    pub(crate) cpu: CpuSeconds,
    /// WAL written.
    pub(crate) wal_bytes: i64,
}

impl Sample {
    /// Operations a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Of these CPU seconds, the microseconds for each operation.
    pub(crate) fn us_each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.count.max(1) as f64
    }

    /// Bytes of WAL for each operation.
    pub(crate) fn wal_bytes_each(&self) -> f64 {
        self.wal_bytes as f64 / self.count.max(1) as f64
    }
}

/// Reads the clock and the counters of CPU and WAL before and after something.
pub(crate) struct Stopwatch<'a> {
    postgres: &'a Postgres,
    processes: WatchedProcesses,
    wal_bytes: i64,
    cpu: CpuSeconds,
    begin: Instant,
}

impl<'a> Stopwatch<'a> {
    /// Starts to count. `server` is the process id of the server, if one takes part.
    pub(crate) async fn start(postgres: &'a Postgres, server: Option<u32>) -> Result<Self> {
        let processes = WatchedProcesses::new(postgres.pid(), server)?;
        let wal_bytes = postgres.wal_bytes().await?;
        Ok(Self { postgres, processes, wal_bytes, cpu: processes.read()?, begin: Instant::now() })
    }

    /// What happened since the start, in which `count` operations finished.
    pub(crate) async fn stop(&self, count: u64) -> Result<Sample> {
        let (seconds, cpu) = (self.begin.elapsed().as_secs_f64(), self.processes.read()?.since(self.cpu));
        Ok(Sample { count, seconds, cpu, wal_bytes: self.postgres.wal_bytes().await? - self.wal_bytes })
    }
}

/// Lets clients run through the window, stops them, and returns what happened within it.
pub(crate) async fn measure(
    postgres: &Postgres,
    server: Option<u32>,
    control: &Arc<LoadControl>,
    mut clients: Clients,
    window: Window,
) -> Result<Sample> {
    let run = async {
        tokio::time::sleep(window.warmup).await;
        let watch = Stopwatch::start(postgres, server).await?;
        let before = control.done();
        tokio::time::sleep(window.length).await;
        let count = control.done() - before;
        watch.stop(count).await
    };
    let sample = tokio::select! {
        sample = run => sample,
        ended = early_end(&mut clients) => ended,
    };
    stop_clients(control, clients).await?;
    let sample = sample?;
    ensure!(sample.count > 0, "no operation finished in {:.1} s", sample.seconds);
    Ok(sample)
}

/// Waits until a client ends by itself, which none should: always an error, that of the client if it has one.
async fn early_end(clients: &mut Clients) -> Result<Sample> {
    match clients.join_next().await {
        Some(ended) => ended.context("a client of the load panicked")??,
        None => bail!("the load has no clients"),
    }
    bail!("a client ended before the measurement did")
}
