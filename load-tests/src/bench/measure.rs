//! One measurement: a load that goes on, and what it and the machine did within a window of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;

use super::cluster::Postgres;
use super::cpu::{Cpu, Watched};

/// How far a load is, and whether it is to go on. Shared by the clients that make it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    done: AtomicU64,
    over: AtomicBool,
}

impl Pace {
    /// Counts what is done and durable.
    pub(crate) fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets the clients end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether clients should end.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// The clients of a load: tasks or threads that go on until their pace is over.
pub(crate) type Clients = JoinSet<Result<()>>;

/// How long a load runs before it is measured, and then while it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Until caches are warm, connections open and statements prepared.
    pub(crate) warmup: Duration,
    /// What counts.
    pub(crate) length: Duration,
}

/// What happened within the window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Operations, rows or events.
    pub(crate) count: u64,
    /// How long they took.
    pub(crate) seconds: f64,
    /// CPU they took.
    pub(crate) cpu: Cpu,
    /// WAL they took.
    pub(crate) wal_bytes: i64,
}

impl Sample {
    /// Operations a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Microseconds of CPU for one of them.
    pub(crate) fn us_each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.count.max(1) as f64
    }

    /// Bytes of WAL for one of them.
    pub(crate) fn wal_bytes_each(&self) -> f64 {
        self.wal_bytes as f64 / self.count.max(1) as f64
    }
}

/// Reads the clocks around something.
pub(crate) struct Stopwatch<'a> {
    postgres: &'a Postgres,
    watched: Watched,
    wal_bytes: i64,
    cpu: Cpu,
    begin: Instant,
}

impl<'a> Stopwatch<'a> {
    /// Starts, with or without a server to watch.
    pub(crate) async fn start(postgres: &'a Postgres, server: Option<u32>) -> Result<Self> {
        let watched = Watched::new(postgres.pid(), server)?;
        let wal_bytes = postgres.wal_bytes().await?;
        Ok(Self { postgres, watched, wal_bytes, cpu: watched.read()?, begin: Instant::now() })
    }

    /// How long it has run, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// What happened since the start, for so many operations.
    pub(crate) async fn stop(&self, count: u64) -> Result<Sample> {
        let (seconds, cpu) = (self.seconds(), self.watched.read()?.since(self.cpu));
        Ok(Sample { count, seconds, cpu, wal_bytes: self.postgres.wal_bytes().await? - self.wal_bytes })
    }
}

/// Lets clients run through the window, ends them, and tells what they did in it.
pub(crate) async fn measure(
    postgres: &Postgres,
    server: Option<u32>,
    pace: &Arc<Pace>,
    mut clients: Clients,
    window: Window,
) -> Result<Sample> {
    let run = async {
        tokio::time::sleep(window.warmup).await;
        let watch = Stopwatch::start(postgres, server).await?;
        let before = pace.done();
        tokio::time::sleep(window.length).await;
        let count = pace.done() - before;
        watch.stop(count).await
    };
    let sample = tokio::select! {
        sample = run => sample,
        ended = ended_early(&mut clients) => ended,
    };
    end(pace, clients).await?;
    let sample = sample?;
    ensure!(sample.count > 0, "nothing was done in {:.1} s", sample.seconds);
    Ok(sample)
}

/// Ends clients and waits for them; the first error of one.
pub(crate) async fn end(pace: &Pace, mut clients: Clients) -> Result<()> {
    pace.end();
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the load is gone")??;
    }
    Ok(())
}

async fn ended_early(clients: &mut Clients) -> Result<Sample> {
    match clients.join_next().await {
        Some(ended) => ended.context("a client of the load is gone")??,
        None => bail!("a load without clients"),
    }
    bail!("a client ended before the measurement did")
}
