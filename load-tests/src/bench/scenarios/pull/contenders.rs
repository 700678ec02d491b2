//! The contenders of the pull scenarios: clients of the server, and readers of the same rows by SQL.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::pull_fixture::{FilledLog, PullFixture};
use crate::bench::baseline::read::{self, LogRange};
use crate::bench::environment::Environment;
use crate::bench::generator::pull::{Format, Pulled, Puller};
use crate::bench::measure::{Clients, LoadControl, Sample, Stopwatch, measure};

/// Clients and readers that read at the same time, where it is not one.
const READERS: usize = 8;

/// What is measured in turns with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Contender {
    /// One client pulls the long log from its start.
    One(Format),
    /// Eight clients pull the short log from its start.
    Eight(Format),
    /// Eight clients pull the end of the long log again and again.
    NearHead(Format),
    /// One reader by SQL, of the same rows as one client.
    SqlOne,
    /// Eight readers by SQL, of the same rows as eight clients.
    SqlEight,
    /// Eight readers by SQL, of the end of the long log again and again.
    SqlNearHead,
}

impl Contender {
    /// Measures the contender once.
    pub(super) async fn measure(self, environment: &Environment, fixture: &PullFixture) -> Result<Sample> {
        let (postgres, database) = (&environment.postgres, &fixture.server.database);
        let whole = |log: &FilledLog| LogRange { workspace: log.device.workspace, after: 0, to: log.head };
        match self {
            Self::One(format) => pull_from_start(environment, fixture, &fixture.long, (format, 1)).await,
            Self::Eight(format) => pull_from_start(environment, fixture, &fixture.short, (format, READERS)).await,
            Self::NearHead(format) => {
                let control = Arc::new(LoadControl::default());
                let clients = pull_near_head(fixture, format, &control)?;
                measure(postgres, Some(fixture.server.pid()), &control, clients, environment.plan.window).await
            }
            Self::SqlOne | Self::SqlEight => {
                let (log, readers) = if self == Self::SqlOne { (&fixture.long, 1) } else { (&fixture.short, READERS) };
                let watch = Stopwatch::start(postgres, None).await?;
                let (count, seconds) = read::read(database, whole(log), readers).await?;
                Ok(Sample { seconds, ..watch.stop(count).await? })
            }
            Self::SqlNearHead => {
                let control = Arc::new(LoadControl::default());
                let range = LogRange { after: fixture.near_head.position, ..whole(&fixture.long) };
                let clients = read::start(database, range, READERS, &control).await?;
                measure(postgres, None, &control, clients, environment.plan.window).await
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(format) => write!(f, "1 client from the start, {format}"),
            Self::Eight(format) => write!(f, "{READERS} clients from the start, {format}"),
            Self::NearHead(format) => write!(f, "{READERS} clients near the head, {format}"),
            Self::SqlOne => write!(f, "1 reader by SQL from the start"),
            Self::SqlEight => write!(f, "{READERS} readers by SQL from the start"),
            Self::SqlNearHead => write!(f, "{READERS} readers by SQL near the head"),
        }
    }
}

/// Clients pull a log from its start, all at once and each once.
async fn pull_from_start(
    environment: &Environment,
    fixture: &PullFixture,
    log: &FilledLog,
    (format, count): (Format, usize),
) -> Result<Sample> {
    let watch = Stopwatch::start(&environment.postgres, Some(fixture.server.pid())).await?;
    let begin = Instant::now();
    let pulling: Vec<_> =
        (0..count).map(|_| tokio::spawn(pull_whole(fixture.server.address, log.clone(), format))).collect();
    let mut events = 0;
    for pulled in pulling {
        events += pulled.await??.events;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Sample { seconds, ..watch.stop(events).await? })
}

async fn pull_whole(address: SocketAddr, log: FilledLog, format: Format) -> Result<Pulled> {
    let pulled = tokio::task::spawn_blocking(move || Puller::connect(address, &log.device)?.pull(format, "")).await??;
    ensure!(pulled.events.cast_signed() == log.head, "{} of {} events were pulled", pulled.events, log.head);
    Ok(pulled)
}

fn pull_near_head(fixture: &PullFixture, format: Format, control: &Arc<LoadControl>) -> Result<Clients> {
    let mut clients = Clients::new();
    for _ in 0..READERS {
        let mut puller = Puller::connect(fixture.server.address, &fixture.long.device)?;
        let (control, after) = (Arc::clone(control), fixture.near_head.cursor.clone());
        clients.spawn_blocking(move || {
            while !control.is_stopped() {
                control.add(puller.pull(format, &after)?.events);
            }
            Ok(())
        });
    }
    Ok(clients)
}
