//! The rows of memory: what the server keeps while many push, and while one reads slowly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::push::{PUSH_100, Shape};
use crate::bench::args::Row;
use crate::bench::cpu::{forget_peak, peak_rss_bytes, rss_bytes};
use crate::bench::lab::{Lab, Subject};
use crate::bench::measure::{Pace, Window, measure};
use crate::bench::pull::{Form, Puller};
use crate::bench::push::{self, Pushing};
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::Spread;

const MIB: f64 = 1024.0 * 1024.0;
/// Who pushes at once.
const PUSHERS: usize = 64;
/// For how long, unless it is for a first look.
const PUSH_FOR: Duration = Duration::from_secs(10);
/// How slow a slow reader is, and for how long; then it takes the rest at once.
const SLOW_BYTES_PER_SECOND: f64 = 2e6;

/// Runs the rows of memory among `rows`.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    if rows.contains(&Row::Memory) {
        many_push(lab, report).await?;
        one_reads_slowly(lab, report).await?;
    }
    Ok(())
}

/// Gateway and projector, as they are deployed.
async fn many_push(lab: &Lab, report: &mut Report) -> Result<()> {
    let shape = Shape { devices: PUSHERS, ..PUSH_100 };
    let subject = lab.serve(lab.database().await?, "gateway,projector").await?;
    let pushers = push::connect(&shape.pushing(&subject)?, shape.devices(lab), 0).await?;
    let pace = Arc::new(Pace::default());
    let clients = push::closed_loop(pushers, &pace);
    let length = if lab.plan.quick { lab.plan.window.length } else { PUSH_FOR };
    let window = Window { length, ..lab.plan.window };
    measure(&lab.postgres, Some(subject.pid()), &pace, clients, window).await?;
    let peak = peak_rss_bytes(subject.pid())? as f64 / MIB;
    let name = format!("peak memory, {PUSHERS} devices push batches of 100");
    report.add(Figure::new(name, Spread::one(peak), "MiB").target(Target::AtMost(150.0)));
    subject.end(lab).await
}

async fn one_reads_slowly(lab: &Lab, report: &mut Report) -> Result<()> {
    let (events, slow_for) =
        if lab.plan.quick { (200_000, Duration::from_secs(3)) } else { (1_000_000, Duration::from_secs(15)) };
    let filling = lab.serve(lab.database().await?, "gateway").await?;
    let (address, device) = (filling.address, lab.fleet.together[0].clone());
    let spoken = tokio::task::spawn_blocking(move || Puller::new(address, &device)?.is_spoken(Form::Stream, ""));
    let form = if spoken.await?? { Form::Stream } else { Form::JsonLines };
    fill(lab, &filling, events).await?;
    // A server that has pushed has memory to spare, and would hide what the stream takes.
    filling.server.stop()?;
    let subject = lab.serve(filling.database, "gateway").await?;
    let (address, device) = (subject.address, lab.fleet.together[0].clone());
    let pid = subject.pid();
    let reading = move || {
        // A first page warms up what does not belong to the stream.
        Puller::new(address, &device)?.check_page(Form::Pages, "")?;
        forget_peak(pid).context("the server's peak of memory cannot be forgotten")?;
        let before = rss_bytes(pid)?;
        let begin = Instant::now();
        let pulled = Puller::new(address, &device)?.pull_slowly(form, |bytes| {
            let due = begin + Duration::from_secs_f64(bytes as f64 / SLOW_BYTES_PER_SECOND);
            if due < begin + slow_for {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        })?;
        ensure!(pulled.events > events, "{} of {events} events came", pulled.events);
        Ok::<_, anyhow::Error>((before, peak_rss_bytes(pid)?))
    };
    let (before, peak) = tokio::task::spawn_blocking(reading).await??;
    let growth = peak.saturating_sub(before) as f64 / MIB;
    let name = format!("growth of memory while a slow client streams {events} events");
    report.add(Figure::new(name, Spread::one(growth), "MiB").target(Target::AtMost(32.0)));
    subject.end(lab).await
}

/// Fills the log of the devices that share a workspace.
async fn fill(lab: &Lab, subject: &Subject, events: u64) -> Result<()> {
    let devices = lab.fleet.devices(16, true);
    let pushing = Pushing::msgpack(subject.address, 100)?;
    let pushers = push::connect(&pushing, devices, 0).await?;
    push::batches(pushers, events / 100 / devices.len() as u64).await?;
    Ok(())
}
