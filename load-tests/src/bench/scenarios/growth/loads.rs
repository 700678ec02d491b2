//! The loads that are measured on a small and on a large log.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::many_workspaces::ManyWorkspaces;
use crate::bench::environment::{Environment, MeasuredServer};
use crate::bench::generator::pull::{Format, Puller};
use crate::bench::generator::push::{self, PushSettings};
use crate::bench::measure::{Clients, LoadControl, Sample, measure};
use crate::bench::report::number;

/// Connections that push at the same time.
const CONNECTIONS: usize = 16;
/// Ops of a push.
const BATCH: u64 = 100;
/// Devices of [`GrowthLoad::PushByFew`]: as many as the small log has.
const FEW_DEVICES: usize = 1_000;
/// Clients that pull at the same time.
const READERS: usize = 2;

/// A load that is measured on both logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrowthLoad {
    /// Each push is by another device, until all have pushed.
    PushByAll,
    /// As many devices push as the small log has.
    PushByFew,
    /// First pulls of one workspace after another.
    Pull,
}

impl GrowthLoad {
    /// The name of the figure, for a log with this many devices.
    pub(super) fn name(self, devices: usize) -> String {
        let devices = number(devices as f64);
        match self {
            Self::PushByAll => {
                format!("push to the grown log, each by another of {devices} devices, batches of {BATCH}")
            }
            Self::PushByFew => {
                let few = number(FEW_DEVICES as f64);
                format!("push to the grown log by {few} of {devices} devices, batches of {BATCH}")
            }
            Self::Pull => format!("first pulls from the grown log, {READERS} clients"),
        }
    }

    /// The unit of the rate.
    pub(super) fn rate_unit(self) -> &'static str {
        if self == Self::Pull { "events/s" } else { "ops/s" }
    }

    /// The unit of CPU time.
    pub(super) fn cpu_unit(self) -> &'static str {
        if self == Self::Pull { "us/event" } else { "us/op" }
    }

    /// Measures the load once. `offset` (0 to 1) says where among all devices it begins.
    pub(super) async fn measure(self, environment: &Environment, log: &ManyWorkspaces, offset: f64) -> Result<Sample> {
        let server = environment.serve(log.database.clone(), "gateway").await?;
        environment.postgres.checkpoint().await?;
        let control = Arc::new(LoadControl::default());
        let clients = match self {
            Self::PushByAll => push(&server, log, (usize::MAX, offset), &control).await?,
            Self::PushByFew => push(&server, log, (FEW_DEVICES, offset), &control).await?,
            Self::Pull => pull(&server, log, offset, &control)?,
        };
        let window = environment.plan.window;
        let sample = measure(&environment.postgres, Some(server.pid()), &control, clients, window).await?;
        server.process.stop()?;
        Ok(sample)
    }
}

/// Devices of all workspaces push in turns on a few connections.
async fn push(
    server: &MeasuredServer,
    log: &ManyWorkspaces,
    (devices, offset): (usize, f64),
    control: &Arc<LoadControl>,
) -> Result<Clients> {
    let settings = PushSettings::msgpack(server.address, BATCH)?;
    let devices = log.pushing_devices(devices, offset, CONNECTIONS).await?;
    let pushers = push::connect_shared(&settings, devices, 0).await?;
    Ok(push::closed_loop(pushers, control))
}

fn pull(server: &MeasuredServer, log: &ManyWorkspaces, offset: f64, control: &Arc<LoadControl>) -> Result<Clients> {
    let mut clients = Clients::new();
    for reader in 0..READERS {
        let control = Arc::clone(control);
        let devices: Vec<_> = log.readers(offset).into_iter().skip(reader).step_by(READERS).collect();
        let mut puller = Puller::connect(server.address, devices.first().context("the log has no readers")?)?;
        clients.spawn_blocking(move || {
            for device in devices.iter().cycle().take_while(|_| !control.is_stopped()) {
                puller.switch_device(device);
                control.add(puller.pull(Format::Pages, "")?.events);
            }
            Ok(())
        });
    }
    Ok(clients)
}
