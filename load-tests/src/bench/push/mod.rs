//! Devices that push: as fast as they are answered, or on a schedule.

mod crew;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tidelog_core::wire::Encoding;
use tokio::task::JoinSet;

use super::bodies::Stencils;
use super::fleet::Device;
use super::http::{self, Connection};
use super::latency::{Latencies, Schedule};
use super::measure::{Clients, Pace};

/// One answer of so many is decoded and checked; of the others the status.
const CHECKED_ONE_IN: u64 = 64;
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

/// A device on its connection.
pub(crate) struct Pusher {
    pushing: Pushing,
    device: Device,
    connection: Connection,
    /// Requests that were put together before the clock started.
    stock: VecDeque<Vec<u8>>,
    /// The first seq behind the stock.
    stocked_to: u64,
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
    /// Connects a device that has pushed `last_seq` ops, with a stock of requests for so many ops.
    pub(crate) fn new(pushing: &Pushing, device: &Device, last_seq: u64, stock_ops: u64) -> Result<Self> {
        let connection = Connection::open(pushing.address)?;
        let (pushing, device) = (pushing.clone(), device.clone());
        let (stock, stocked_to) = (VecDeque::new(), last_seq + 1);
        let mut pusher = Self { pushing, device, connection, stock, stocked_to, acknowledged: last_seq };
        while pusher.stocked_to <= last_seq + stock_ops {
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
        let number = self.acknowledged / self.pushing.batch;
        self.acknowledged += self.pushing.batch;
        if number.is_multiple_of(CHECKED_ONE_IN) {
            let checked: Checked = match self.pushing.encoding {
                Encoding::Json => serde_json::from_slice(answer)?,
                Encoding::MessagePack => rmp_serde::from_slice(answer)?,
            };
            let expected = self.acknowledged;
            ensure!(checked.last_seq == expected, "last_seq is {} and not {expected}", checked.last_seq);
            ensure!(checked.rejected.is_empty() && checked.duplicates == 0, "ops were rejected or stored before");
        }
        Ok(())
    }

    fn compose(&mut self) -> Vec<u8> {
        let (from, to) = (self.stocked_to, self.stocked_to + self.pushing.batch);
        self.stocked_to = to;
        let body = self.pushing.stencils.body(self.device.device, from..to);
        http::post("/api/v1/sync/push", &self.device.token, self.pushing.stencils.media_type(), &body)
    }
}

/// Connects devices that have pushed nothing yet, with a stock for `ops` ops of all of them.
pub(crate) async fn connect(pushing: &Pushing, devices: &[Device], ops: u64) -> Result<Vec<Pusher>> {
    let each = ops / devices.len().max(1) as u64;
    let mut composing = JoinSet::new();
    for (index, device) in devices.iter().cloned().enumerate() {
        let pushing = pushing.clone();
        composing.spawn_blocking(move || Pusher::new(&pushing, &device, 0, each).map(|pusher| (index, pusher)));
    }
    let mut pushers = Vec::with_capacity(devices.len());
    while let Some(composed) = composing.join_next().await {
        pushers.push(composed.context("a device is gone")??);
    }
    pushers.sort_by_key(|(index, _)| *index);
    Ok(pushers.into_iter().map(|(_, pusher)| pusher).collect())
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

/// An open loop: the devices together send so many ops a second, whatever the answers do.
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
            |index, number| schedule(index).due(number),
            |batch, due| {
                pace.add(batch);
                if schedule(0).counts(due) {
                    latencies.record(due.elapsed());
                }
            },
        )?;
        Ok(latencies)
    };
    tokio::task::spawn_blocking(pushing).await?
}
