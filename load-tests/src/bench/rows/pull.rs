//! The rows of pull.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use tidelog_core::wire::Encoding;

use crate::bench::args::Row;
use crate::bench::bodies::Stencils;
use crate::bench::fleet::Device;
use crate::bench::lab::{Lab, Subject};
use crate::bench::limits::read::{self, Stretch};
use crate::bench::measure::{Clients, Pace, Sample, Stopwatch, measure};
use crate::bench::pull::{Form, Pulled, Puller};
use crate::bench::push::{self, Pushing};
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};
use crate::output;

/// Who reads at once.
const READERS: usize = 8;
/// Ops of a push that fills the logs which are then pulled.
const BATCH: u64 = 100;
/// A log of one device is filled by larger ones.
const BATCH_ALONE: u64 = 1_000;
/// How near the head a reader starts.
const NEAR_HEAD: i64 = 10_000;

/// What is measured in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Side {
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

/// What the sides did, round by round.
type Runs = BTreeMap<Side, Vec<Sample>>;

/// A server with the logs that are pulled.
struct Library {
    subject: Subject,
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

/// Runs the rows of pull among `rows`.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    let rows: Vec<Row> =
        rows.iter().copied().filter(|row| matches!(row, Row::Pull | Row::PullEight | Row::PullHead)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let library = Library::fill(lab).await?;
    let forms = library.forms().await?;
    let mut runs = Runs::new();
    for round in 1..=lab.plan.rounds {
        for side in rows.iter().flat_map(|row| sides_of(*row, &forms)) {
            let sample = library.measure(lab, side).await?;
            output::note(format_args!("round {round}: {side:?}: {:.0}/s", sample.per_second()));
            runs.entry(side).or_default().push(sample);
        }
    }
    for row in rows {
        add(row, &forms, &runs, report)?;
    }
    library.subject.end(lab).await
}

fn sides_of(row: Row, forms: &[Form]) -> Vec<Side> {
    let msgpack = forms.iter().copied().filter(|form| matches!(form, Form::Pages | Form::Stream));
    match row {
        Row::Pull => [Side::LimitOne].into_iter().chain(forms.iter().copied().map(Side::One)).collect(),
        Row::PullEight => [Side::LimitEight].into_iter().chain(msgpack.map(Side::Eight)).collect(),
        Row::PullHead => [Side::LimitNearHead].into_iter().chain(msgpack.map(Side::NearHead)).collect(),
        _ => Vec::new(),
    }
}

impl Library {
    /// Pushes the logs by the server itself, which so has the latest of them in memory, as it would in use.
    async fn fill(lab: &Lab) -> Result<Self> {
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
    async fn forms(&self) -> Result<Vec<Form>> {
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

    async fn measure(&self, lab: &Lab, side: Side) -> Result<Sample> {
        let database = &self.subject.database;
        let whole = |log: &Log| Stretch { workspace: log.device.workspace, after: 0, to: log.head };
        let near = Stretch { after: self.near_head.1, ..whole(&self.long) };
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
    let encoding = Encoding::MessagePack;
    let stencils = Arc::new(Stencils::new(encoding)?);
    let pushing = Pushing { address: subject.address, batch, encoding, stencils };
    let pushers = push::connect(&pushing, devices, 0).await?;
    push::batches(pushers, ops / batch / devices.len() as u64).await?;
    Ok(())
}

async fn pull(subject: &Subject, log: &Log, form: Form, after: &str) -> Result<Pulled> {
    let (address, device, after) = (subject.address, log.device.clone(), after.to_owned());
    tokio::task::spawn_blocking(move || Puller::new(address, &device)?.pull(form, &after)).await?
}

async fn pull_owned(address: std::net::SocketAddr, log: Log, form: Form) -> Result<Pulled> {
    let pulled = tokio::task::spawn_blocking(move || Puller::new(address, &log.device)?.pull(form, "")).await??;
    anyhow::ensure!(pulled.events.cast_signed() == log.head, "{} of {} events came", pulled.events, log.head);
    Ok(pulled)
}

fn add(row: Row, forms: &[Form], runs: &Runs, report: &mut Report) -> Result<()> {
    let sides = sides_of(row, forms);
    let limit = rates(runs, sides[0])?;
    let spread = |rates: &[f64]| Spread::of(rates.iter().copied()).context("a side without runs");
    let mut figures = Vec::new();
    for side in &sides[1..] {
        let rates = rates(runs, *side)?;
        let figure = Figure::new(name_of(*side), spread(&rates)?, "events/s");
        figures.push((*side, figure.beside(spread(&limit)?, ratios(&rates, &limit))));
    }
    for (encoding, target) in [(Encoding::MessagePack, target_of(row)), (Encoding::Json, Target::RatioAtLeast(0.4))] {
        // The target holds for the better of the two ways to take a log.
        let best = figures.iter().enumerate().filter(|(_, (side, _))| encoding_of(*side) == Some(encoding));
        let best = best.max_by(|(_, (_, one)), (_, (_, other))| one.ratio().total_cmp(&other.ratio()));
        if let Some(index) = best.map(|(index, _)| index) {
            figures[index].1.set_target(target);
        }
    }
    for (side, figure) in figures {
        report.add(figure);
        let each = |seconds: fn(&Sample) -> f64| {
            let samples = runs.get(&side).into_iter().flatten();
            Spread::of(samples.map(|sample| sample.us_each(seconds(sample)))).context("a side without runs")
        };
        let name = name_of(side);
        report.add(Figure::new(format!("{name}: CPU of the server"), each(|sample| sample.cpu.server_s)?, "us/event"));
        report.add(Figure::new(format!("{name}: CPU of Postgres"), each(|sample| sample.cpu.postgres_s)?, "us/event"));
        report.add(Figure::new(
            format!("{name}: CPU of the clients"),
            each(|sample| sample.cpu.generator_s)?,
            "us/event",
        ));
    }
    Ok(())
}

fn target_of(row: Row) -> Target {
    Target::RatioAtLeast(match row {
        Row::PullEight => 0.6,
        Row::PullHead => 1.0,
        _ => 0.8,
    })
}

fn encoding_of(side: Side) -> Option<Encoding> {
    match side {
        Side::One(form) | Side::Eight(form) | Side::NearHead(form) => Some(match form {
            Form::Pages | Form::Stream => Encoding::MessagePack,
            Form::JsonPages | Form::JsonLines => Encoding::Json,
        }),
        Side::LimitOne | Side::LimitEight | Side::LimitNearHead => None,
    }
}

fn name_of(side: Side) -> String {
    let form = |form| match form {
        Form::Pages => "MessagePack pages",
        Form::Stream => "MessagePack stream",
        Form::JsonPages => "JSON pages",
        Form::JsonLines => "NDJSON",
    };
    match side {
        Side::One(by) => format!("pull, 1 client, {}", form(by)),
        Side::Eight(by) => format!("pull, {READERS} clients from the start, {}", form(by)),
        Side::NearHead(by) => format!("pull, {READERS} clients near the head, {}", form(by)),
        Side::LimitOne | Side::LimitEight | Side::LimitNearHead => "SQL".to_owned(),
    }
}

fn rates(runs: &Runs, side: Side) -> Result<Vec<f64>> {
    let samples = runs.get(&side).context("a side without runs")?;
    Ok(samples.iter().map(Sample::per_second).collect())
}
