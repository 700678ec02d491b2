//! Devices that push: as fast as they are answered, or on a schedule.

mod crew;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Deserialize;
use tidelog_core::wire::Encoding;

use super::bodies::Stencils;
use super::fleet::Device;
use super::http::{self, Connection};
use super::latency::{Latencies, Schedule};
use super::measure::{Clients, Pace};

/// One answer of so many is decoded and checked; of the others the status.
const CHECKED_ONE_IN: usize = 64;
/// Who pushes what.
#[derive(Clone)]
pub(crate) struct Pushing {
    /// The server.
    pub(crate) address: SocketAddr,
    /// Ops of a push.
    pub(crate) batch: u64,
    /// Their encoding.
    pub(crate) encoding: Encoding,
    /// The ops.
    pub(crate) stencils: Arc<Stencils>,
}

impl Pushing {
    /// Batches of new records in `MessagePack`.
    pub(crate) fn msgpack(address: SocketAddr, batch: u64) -> Result<Self> {
        let encoding = Encoding::MessagePack;
        Ok(Self { address, batch, encoding, stencils: Arc::new(Stencils::new(encoding)?) })
    }
}

/// Devices who share a connection and take turns on it, a push each. Mostly it is one.
pub(crate) struct Pusher {
    pushing: Pushing,
    connection: Connection,
    members: Vec<Member>,
    /// Requests that were put together before the clock started.
    stock: VecDeque<Vec<u8>>,
    /// How many requests were ever put together, and how many were answered.
    composed: usize,
    answered: usize,
}

struct Member {
    device: Device,
    /// The last seq that was put into a request.
    composed_to: u64,
    /// The last seq that was acknowledged.
    acknowledged: u64,
}

/// The part of an answer that is checked.
#[derive(Deserialize)]
struct Checked {
    last_seq: u64,
    rejected: Vec<serde::de::IgnoredAny>,
    duplicates: u64,
}

impl Pusher {
    /// Connects devices that have pushed so many ops already, with a stock of requests for `stock_ops` more.
    fn new(pushing: Pushing, devices: Vec<(Device, u64)>, stock_ops: u64) -> Result<Self> {
        let connection = Connection::open(pushing.address)?;
        let member = |(device, last_seq)| Member { device, composed_to: last_seq, acknowledged: last_seq };
        let members: Vec<Member> = devices.into_iter().map(member).collect();
        ensure!(!members.is_empty(), "a connection without a device");
        let mut pusher = Self { pushing, connection, members, stock: VecDeque::new(), composed: 0, answered: 0 };
        for _ in 0..stock_ops / pusher.pushing.batch {
            let request = pusher.compose();
            pusher.stock.push_back(request);
        }
        Ok(pusher)
    }

    /// Sends the next batch.
    fn send(&mut self) -> Result<()> {
        let request = self.stock.pop_front().unwrap_or_else(|| self.compose());
        self.connection.send(&request)
    }

    /// Takes the acknowledgement of the batch that was sent.
    fn receive(&mut self) -> Result<()> {
        let answer = self.connection.receive()?;
        let turn = self.answered % self.members.len();
        let member = &mut self.members[turn];
        member.acknowledged += self.pushing.batch;
        if self.answered.is_multiple_of(CHECKED_ONE_IN) {
            let checked: Checked = match self.pushing.encoding {
                Encoding::Json => serde_json::from_slice(answer)?,
                Encoding::MessagePack => rmp_serde::from_slice(answer)?,
            };
            let expected = member.acknowledged;
            ensure!(checked.last_seq == expected, "last_seq is {} and not {expected}", checked.last_seq);
            ensure!(checked.rejected.is_empty() && checked.duplicates == 0, "ops were rejected or stored before");
        }
        self.answered += 1;
        Ok(())
    }

    fn compose(&mut self) -> Vec<u8> {
        let turn = self.composed % self.members.len();
        self.composed += 1;
        let member = &mut self.members[turn];
        let seqs = member.composed_to + 1..member.composed_to + 1 + self.pushing.batch;
        member.composed_to += self.pushing.batch;
        let body = self.pushing.stencils.body(member.device.device, seqs);
        http::post("/api/v1/sync/push", &member.device.token, self.pushing.stencils.media_type(), &body)
    }
}

/// Connects devices that have pushed nothing yet, each by itself, with a stock for `ops` ops of all of them.
pub(crate) async fn connect(pushing: &Pushing, devices: &[Device], ops: u64) -> Result<Vec<Pusher>> {
    let crews = devices.iter().map(|device| vec![(device.clone(), 0)]).collect();
    connect_crews(pushing, crews, ops).await
}

/// Connects groups of devices, with how many ops each has pushed already, a group by a connection.
pub(crate) async fn connect_crews(pushing: &Pushing, crews: Vec<Vec<(Device, u64)>>, ops: u64) -> Result<Vec<Pusher>> {
    let each = ops / crews.len().max(1) as u64;
    let compose = |devices| {
        let pushing = pushing.clone();
        tokio::task::spawn_blocking(move || Pusher::new(pushing, devices, each))
    };
    let composing: Vec<_> = crews.into_iter().map(compose).collect();
    let mut pushers = Vec::with_capacity(composing.len());
    for pusher in composing {
        pushers.push(pusher.await??);
    }
    Ok(pushers)
}

/// A closed loop: each device pushes again as soon as it is answered.
pub(crate) fn closed_loop(pushers: Vec<Pusher>, pace: &Arc<Pace>) -> Clients {
    let pace = Arc::clone(pace);
    let mut clients = Clients::new();
    clients.spawn_blocking(move || {
        let begin = Instant::now();
        let pushed = crew::run(pushers, |_, _| (!pace.is_over()).then_some(begin), |batch, _| pace.add(batch));
        pushed.map(drop)
    });
    clients
}

/// Pushes so many batches by each device, as fast as they are answered; how many ops that were.
pub(crate) async fn batches(pushers: Vec<Pusher>, each: u64) -> Result<u64> {
    let pushing = move || {
        let (begin, mut ops) = (Instant::now(), 0);
        let due = |_, number: u32| (u64::from(number) < each).then_some(begin);
        crew::run(pushers, due, |batch, _| ops += batch)?;
        Ok(ops)
    };
    tokio::task::spawn_blocking(pushing).await?
}

/// An open loop: the devices together send so many ops a second, whatever the answers do, until the window or their pace is
/// over.
pub(crate) async fn open_loop(
    pushers: Vec<Pusher>,
    ops_per_second: f64,
    window: (Duration, Duration),
    pace: &Arc<Pace>,
) -> Result<Latencies> {
    let pace = Arc::clone(pace);
    let pushing = move || {
        let (begin, count) = (Instant::now(), pushers.len());
        let batch = pushers.first().map_or(1, |pusher| pusher.pushing.batch);
        let schedule = |index| Schedule::new(begin, (index, count), ops_per_second / batch as f64, window);
        let mut latencies = Latencies::new()?;
        crew::run(
            pushers,
            |index, number| schedule(index).due(number).filter(|_| !pace.is_over()),
            |batch, due| {
                pace.add(batch);
                if schedule(0).counts(due) {
                    latencies.record(due.elapsed());
                }
            },
        )?;
        ensure!(latencies.count() > 0, "nothing was due in the time that counts");
        Ok(latencies)
    };
    tokio::task::spawn_blocking(pushing).await?
}
