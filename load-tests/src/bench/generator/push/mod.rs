//! Devices that push, in a closed loop (as fast as they are acknowledged) or in an open one (on a schedule).

mod driver;
mod pusher;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub(crate) use self::pusher::{PushSettings, Pusher, PushingDevice};
use crate::bench::environment::devices::Device;
use crate::bench::measure::latency::{Latencies, Schedule};
use crate::bench::measure::{Clients, LoadControl};

/// Connects devices that have pushed nothing yet, each on a connection of its own. Requests for `ops` ops of all of them
/// together are encoded beforehand.
pub(crate) async fn connect(settings: &PushSettings, devices: &[Device], ops: u64) -> Result<Vec<Pusher>> {
    let devices = devices.iter().map(|device| vec![PushingDevice { device: device.clone(), last_seq: 0 }]);
    connect_shared(settings, devices.collect(), ops).await
}

/// Connects devices, of which each inner list shares a connection. Requests for `ops` ops of all of them together are
/// encoded beforehand.
pub(crate) async fn connect_shared(
    settings: &PushSettings,
    devices: Vec<Vec<PushingDevice>>,
    ops: u64,
) -> Result<Vec<Pusher>> {
    let ops_each = ops / devices.len().max(1) as u64;
    let encode = |devices| {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || Pusher::connect(settings, devices, ops_each))
    };
    let encoding: Vec<_> = devices.into_iter().map(encode).collect();
    let mut pushers = Vec::with_capacity(encoding.len());
    for pusher in encoding {
        pushers.push(pusher.await??);
    }
    Ok(pushers)
}

/// A closed loop: each connection pushes its next batch as soon as the last one is acknowledged, until it is stopped.
pub(crate) fn closed_loop(pushers: Vec<Pusher>, control: &Arc<LoadControl>) -> Clients {
    let control = Arc::clone(control);
    let mut clients = Clients::new();
    clients.spawn_blocking(move || {
        let begin = Instant::now();
        let due = |_, _| (!control.is_stopped()).then_some(begin);
        driver::run(pushers, due, |batch, _| control.add(batch))
    });
    clients
}

/// Pushes a number of batches on each connection, as fast as they are acknowledged. Returns the number of ops.
pub(crate) async fn batches(pushers: Vec<Pusher>, batches_each: u64) -> Result<u64> {
    let pushing = move || {
        let (begin, mut ops) = (Instant::now(), 0);
        let due = |_, number: u32| (u64::from(number) < batches_each).then_some(begin);
        driver::run(pushers, due, |batch, _| ops += batch)?;
        Ok(ops)
    };
    tokio::task::spawn_blocking(pushing).await?
}

/// An open loop: all connections together send this many ops a second however late the responses are, until the window of
/// warm-up and length is over or the load is stopped. Returns the latencies of the pushes after the warm-up.
pub(crate) async fn open_loop(
    pushers: Vec<Pusher>,
    ops_per_second: f64,
    window: (Duration, Duration),
    control: &Arc<LoadControl>,
) -> Result<Latencies> {
    let control = Arc::clone(control);
    let pushing = move || {
        let (begin, count) = (Instant::now(), pushers.len());
        let batch = pushers.first().map_or(1, Pusher::batch_ops);
        let schedule = |index| Schedule::new(begin, (index, count), ops_per_second / batch as f64, window);
        let mut latencies = Latencies::new()?;
        driver::run(
            pushers,
            |index, number| schedule(index).due(number).filter(|_| !control.is_stopped()),
            |batch, due| {
                control.add(batch);
                if schedule(0).counts(due) {
                    latencies.record(due.elapsed());
                }
            },
        )?;
        ensure!(latencies.count() > 0, "no push was due after the warm-up");
        Ok(latencies)
    };
    tokio::task::spawn_blocking(pushing).await?
}
