//! The memory scenario: what the server holds while many devices push, and while one client reads slowly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::push::{PUSH_100, PushLoad};
use crate::bench::environment::{Environment, MeasuredServer};
use crate::bench::generator::pull::{Format, Puller};
use crate::bench::generator::push::{self, PushSettings};
use crate::bench::measure::cpu::{peak_rss_bytes, reset_peak_rss, rss_bytes};
use crate::bench::measure::spread::Spread;
use crate::bench::measure::{LoadControl, measure};
use crate::bench::plan::{Scenario, Window};
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;

const MIB: f64 = 1024.0 * 1024.0;
/// Devices that push at once.
const PUSHING_DEVICES: usize = 64;
/// How long they push, unless the run is quick.
const PUSHING_TIME: Duration = Duration::from_secs(10);
/// How fast the slow client reads at first. Later it reads the rest as fast as it can.
const SLOW_BYTES_PER_SECOND: f64 = 2e6;

/// Runs the memory scenario if the plan has it.
pub(super) async fn run(environment: &Environment, report: &mut Report) -> Result<()> {
    if environment.plan.scenarios.contains(&Scenario::Memory) {
        many_devices_push(environment, report).await?;
        one_client_reads_slowly(environment, report).await?;
    }
    Ok(())
}

/// The peak memory of gateway and projector in one process, as most deployments run them.
async fn many_devices_push(environment: &Environment, report: &mut Report) -> Result<()> {
    let load = PushLoad { devices: PUSHING_DEVICES, ..PUSH_100 };
    let server = environment.serve(environment.database().await?, "gateway,projector").await?;
    let pushers = push::connect(&load.settings(&server)?, load.devices(environment), 0).await?;
    let control = Arc::new(LoadControl::default());
    let clients = push::closed_loop(pushers, &control);
    let planned = environment.plan.window;
    let window = Window { length: if environment.plan.is_quick { planned.length } else { PUSHING_TIME }, ..planned };
    measure(&environment.postgres, Some(server.pid()), &control, clients, window).await?;
    let peak = peak_rss_bytes(server.pid())? as f64 / MIB;
    let name = format!("peak memory, {PUSHING_DEVICES} devices push batches of 100");
    report.add(Figure::new(name, Spread::one(peak), "MiB").target(Target::AtMost(150.0)));
    server.end(&environment.postgres).await
}

async fn one_client_reads_slowly(environment: &Environment, report: &mut Report) -> Result<()> {
    let (events, slow_time) = match environment.plan.is_quick {
        true => (200_000, Duration::from_secs(3)),
        false => (1_000_000, Duration::from_secs(15)),
    };
    let filling = environment.serve(environment.database().await?, "gateway").await?;
    let device = environment.devices.in_one_workspace[0].clone();
    let (address, reader) = (filling.address, device.clone());
    let supports = move || Puller::connect(address, &reader)?.supports(Format::Stream, "");
    let has_stream = tokio::task::spawn_blocking(supports).await??;
    let format = if has_stream { Format::Stream } else { Format::JsonLines };
    output::note("filling the log that is read slowly");
    fill(environment, &filling, events).await?;
    // A server that has taken pushes has free memory, which would hide what the stream takes. So a new one is started.
    filling.process.stop()?;
    let server = environment.serve(filling.database, "gateway").await?;
    let (address, pid) = (server.address, server.pid());
    let reading = move || {
        // The first page also takes memory that is not the stream's, such as that of a connection to Postgres.
        Puller::connect(address, &device)?.check_page(Format::Pages, "")?;
        reset_peak_rss(pid).context("resetting the peak memory of the server")?;
        let before = rss_bytes(pid)?;
        let begin = Instant::now();
        let pulled = Puller::connect(address, &device)?.pull_slowly(format, |bytes| {
            let due = begin + Duration::from_secs_f64(bytes as f64 / SLOW_BYTES_PER_SECOND);
            if due < begin + slow_time {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        })?;
        ensure!(pulled.events > events, "{} of {events} events were pulled", pulled.events);
        Ok::<_, anyhow::Error>((before, peak_rss_bytes(pid)?))
    };
    let (before, peak) = tokio::task::spawn_blocking(reading).await??;
    let growth = peak.saturating_sub(before) as f64 / MIB;
    let name = format!("growth of memory while a slow client streams {} events", number(events as f64));
    report.add(Figure::new(name, Spread::one(growth), "MiB").target(Target::AtMost(32.0)));
    server.end(&environment.postgres).await
}

/// Fills the log of the devices that share a workspace.
async fn fill(environment: &Environment, server: &MeasuredServer, events: u64) -> Result<()> {
    let devices = environment.devices.first(16, true);
    let settings = PushSettings::msgpack(server.address, 100)?;
    let pushers = push::connect(&settings, devices, 0).await?;
    push::batches(pushers, events / 100 / devices.len() as u64).await?;
    Ok(())
}
