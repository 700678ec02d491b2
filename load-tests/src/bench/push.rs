//! Devices that push: as fast as they are answered, or on a schedule.

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
use super::latency::{Latencies, Schedule, send_on_schedule};
use super::measure::{Clients, Pace};

/// One answer of so many is decoded and checked; of the others the status.
const CHECKED_ONE_IN: u64 = 64;
/// Until the clients have started, in an open loop.
const START: Duration = Duration::from_millis(100);

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

    /// Pushes the next batch, and waits for its acknowledgement.
    pub(crate) fn push(&mut self) -> Result<()> {
        let request = self.stock.pop_front().unwrap_or_else(|| self.compose());
        let answer = self.connection.exchange(&request)?;
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

    /// How many of the device's ops are acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
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
    let mut clients = Clients::new();
    for mut pusher in pushers {
        let pace = Arc::clone(pace);
        clients.spawn_blocking(move || {
            while !pace.is_over() {
                pusher.push()?;
                pace.add(pusher.pushing.batch);
            }
            Ok(())
        });
    }
    clients
}

/// An open loop: the devices together send so many ops a second, whatever the answers do.
pub(crate) async fn open_loop(
    pushers: Vec<Pusher>,
    ops_per_second: f64,
    window: (Duration, Duration),
    pace: &Arc<Pace>,
) -> Result<Latencies> {
    let begin = Instant::now() + START;
    let count = pushers.len();
    let mut clients = JoinSet::new();
    for (index, mut pusher) in pushers.into_iter().enumerate() {
        let batch = pusher.pushing.batch;
        let schedule = Schedule::new(begin, (index, count), ops_per_second / batch as f64, window);
        let pace = Arc::clone(pace);
        clients.spawn_blocking(move || {
            send_on_schedule(schedule, || {
                pusher.push()?;
                pace.add(batch);
                Ok(())
            })
        });
    }
    join(clients).await
}

/// The latencies of all clients of an open loop.
pub(crate) async fn join(mut clients: JoinSet<Result<Latencies>>) -> Result<Latencies> {
    let mut all = Latencies::new()?;
    while let Some(latencies) = clients.join_next().await {
        all.add(&latencies.context("a client of the load is gone")??)?;
    }
    Ok(all)
}
