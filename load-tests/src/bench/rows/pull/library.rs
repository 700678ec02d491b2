//! A server with logs to pull, and who pulls them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::READERS;
use crate::bench::fleet::Device;
use crate::bench::lab::{Lab, Subject};
use crate::bench::limits::read::{self, LogSlice};
use crate::bench::measure::{Clients, Pace, Sample, Stopwatch, measure};
use crate::bench::pull::{Form, Pulled, Puller};
use crate::bench::push::{self, Pushing};
use crate::output;

/// Ops of a push that fills the logs which are then pulled.
const BATCH: u64 = 100;
/// A log of one device is filled by larger ones.
const BATCH_ALONE: u64 = 1_000;
/// How near the head a reader starts.
const NEAR_HEAD: i64 = 10_000;

/// What is measured in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    /// One client from the start.
    One(Form),
    /// Eight from the start.
    Eight(Form),
    /// Eight near the head, over and over.
    NearHead(Form),
    /// One reader of the same by SQL.
    LimitOne,
    /// Eight of them.
    LimitEight,
    /// Eight of them near the head.
    LimitNearHead,
}

/// A server with the logs that are pulled.
pub(super) struct Library {
    /// The server.
    pub(super) subject: Subject,
    /// The log that one client pulls from the start.
    long: Log,
    /// The log that eight clients pull from the start.
    short: Log,
    /// A cursor of the long log near its head.
    near_head: (String, i64),
}

/// A log with one of its devices.
#[derive(Clone)]
struct Log {
    device: Device,
    head: i64,
}

impl Library {
    /// Pushes the logs by the server itself, which so has the latest of them in memory, as it would in use.
    pub(super) async fn fill(lab: &Lab) -> Result<Self> {
        let (long, short) = if lab.plan.quick { (200_000, 50_000) } else { (1_000_000, 250_000) };
        let subject = lab.serve(lab.database().await?, "gateway").await?;
        let alone = &lab.fleet.apart[..1];
        let together = lab.fleet.devices(16, true);
        push_all(&subject, alone, BATCH_ALONE, short).await?;
        push_all(&subject, together, BATCH, long).await?;
        let client = subject.database.connect().await?;
        client.batch_execute("VACUUM (ANALYZE) tidelog.log").await?;
        lab.postgres.checkpoint().await?;
        let log = async |device: &Device| {
            let sql = "SELECT max(position) FROM tidelog.log WHERE workspace = $1";
            let head = client.query_one(sql, &[&device.workspace]).await?.try_get(0)?;
            Ok::<_, anyhow::Error>(Log { device: device.clone(), head })
        };
        let (long, short) = (log(&together[0]).await?, log(&alone[0]).await?);
        let pulled = pull(&subject, &long, Form::Pages, "").await?;
        let near = pulled.ends.into_iter().rfind(|(_, position)| *position <= long.head - NEAR_HEAD / 2);
        let near_head = near.context("the log is too short to be near its head")?;
        Ok(Self { subject, long, short, near_head })
    }

    /// The forms that the server speaks, after a look at a page of each.
    pub(super) async fn forms(&self) -> Result<Vec<Form>> {
        let (address, device, near) = (self.subject.address, self.long.device.clone(), self.near_head.0.clone());
        let checking = move || {
            let mut forms = Vec::new();
            for form in [Form::Pages, Form::Stream, Form::JsonPages, Form::JsonLines] {
                if Puller::new(address, &device)?.is_spoken(form, &near)? {
                    forms.push(form);
                } else {
                    output::note(format_args!("the server does not speak {form:?}"));
                }
            }
            for form in [Form::Pages, Form::JsonPages] {
                let mut puller = Puller::new(address, &device)?;
                puller.check_page(form, "")?;
                puller.check_page(form, &near)?;
            }
            Ok(forms)
        };
        tokio::task::spawn_blocking(checking).await?
    }

    /// Measures a side once.
    pub(super) async fn measure(&self, lab: &Lab, side: Side) -> Result<Sample> {
        let database = &self.subject.database;
        let whole = |log: &Log| LogSlice { workspace: log.device.workspace, after: 0, to: log.head };
        let near = LogSlice { after: self.near_head.1, ..whole(&self.long) };
        match side {
            Side::One(form) => self.clients(lab, &self.long, form, 1).await,
            Side::Eight(form) => self.clients(lab, &self.short, form, READERS).await,
            Side::NearHead(form) => {
                let pace = Arc::new(Pace::default());
                let clients = self.near_head_clients(form, &pace)?;
                measure(&lab.postgres, Some(self.subject.pid()), &pace, clients, lab.plan.window).await
            }
            Side::LimitOne | Side::LimitEight => {
                let (log, readers) = if side == Side::LimitOne { (&self.long, 1) } else { (&self.short, READERS) };
                let watch = Stopwatch::start(&lab.postgres, None).await?;
                let (count, seconds) = read::read(database, whole(log), readers).await?;
                Ok(Sample { seconds, ..watch.stop(count).await? })
            }
            Side::LimitNearHead => {
                let pace = Arc::new(Pace::default());
                let clients = read::start(database, near, READERS, &pace).await?;
                measure(&lab.postgres, None, &pace, clients, lab.plan.window).await
            }
        }
    }

    /// Clients who pull a log from its start, all at once.
    async fn clients(&self, lab: &Lab, log: &Log, form: Form, count: usize) -> Result<Sample> {
        let watch = Stopwatch::start(&lab.postgres, Some(self.subject.pid())).await?;
        let begin = Instant::now();
        let pulling: Vec<_> =
            (0..count).map(|_| tokio::spawn(pull_owned(self.subject.address, log.clone(), form))).collect();
        let mut events = 0;
        for pulled in pulling {
            events += pulled.await??.events;
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Sample { seconds, ..watch.stop(events).await? })
    }

    fn near_head_clients(&self, form: Form, pace: &Arc<Pace>) -> Result<Clients> {
        let mut clients = Clients::new();
        for _ in 0..READERS {
            let mut puller = Puller::new(self.subject.address, &self.long.device)?;
            let (pace, after) = (Arc::clone(pace), self.near_head.0.clone());
            clients.spawn_blocking(move || {
                while !pace.is_over() {
                    pace.add(puller.pull(form, &after)?.events);
                }
                Ok(())
            });
        }
        Ok(clients)
    }
}

async fn push_all(subject: &Subject, devices: &[Device], batch: u64, ops: u64) -> Result<()> {
    let pushing = Pushing::msgpack(subject.address, batch)?;
    let pushers = push::connect(&pushing, devices, 0).await?;
    push::batches(pushers, ops / batch / devices.len() as u64).await?;
    Ok(())
}

async fn pull(subject: &Subject, log: &Log, form: Form, after: &str) -> Result<Pulled> {
    let (address, device, after) = (subject.address, log.device.clone(), after.to_owned());
    tokio::task::spawn_blocking(move || Puller::new(address, &device)?.pull(form, &after)).await?
}

async fn pull_owned(address: SocketAddr, log: Log, form: Form) -> Result<Pulled> {
    let pulled = tokio::task::spawn_blocking(move || Puller::new(address, &log.device)?.pull(form, "")).await??;
    ensure!(pulled.events.cast_signed() == log.head, "{} of {} events came", pulled.events, log.head);
    Ok(pulled)
}
