//! Overload: what an honest device of another workspace notices while clients push more than the server can store, or send
//! what takes the server's memory, connections or threads. The targets are those of docs/RELIABILITY.md.

mod attack;
mod health;
mod honest;
mod rude;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::attack::{Attack, BATCH, CAPACITY_CONNECTIONS, Tally};
use self::honest::{Honest, PUSHES};
use crate::bench::args::BenchArgs;
use crate::bench::environment::MeasuredServer;
use crate::bench::environment::cluster::Postgres;
use crate::bench::environment::devices::{DeviceCounts, Devices};
use crate::bench::generator::push::{self, PushSettings};
use crate::bench::measure::cpu::{peak_rss_bytes, reset_peak_rss, rss_bytes};
use crate::bench::measure::spread::Spread;
use crate::bench::measure::{LoadControl, stop_clients};
use crate::bench::plan::Scenario;
use crate::bench::report::{Figure, Report, Target};
use crate::{output, server};

/// Devices that share one workspace: as many as an attack has.
const DEVICES_OF_ONE_WORKSPACE: usize = 1_500;
/// How long the capacity is measured, after a warm-up of a second.
const CAPACITY_TIME: Duration = Duration::from_secs(5);
/// Time between two pushes of the honest device while nobody else does anything.
const QUIET_INTERVAL: Duration = Duration::from_millis(60);
/// Soft limit of file descriptors that the server starts with, as most systems have it.
const SOFT_LIMIT: u64 = 1_024;
const SHARED_BUFFERS: &str = "1GB";
const MIB: f64 = 1024.0 * 1024.0;

/// What a row runs on.
struct Overload {
    postgres: Postgres,
    program: PathBuf,
    devices: Devices,
}

/// Runs the rows that were asked for.
pub(super) async fn run(args: &BenchArgs) -> Result<Report> {
    let program = server::program(args.tidelog.as_deref())?;
    output::note("starting Postgres, and registering workspaces and devices");
    let postgres = Postgres::start(args.pg_bin.clone(), SHARED_BUFFERS, false).await.context("starting Postgres")?;
    // The honest device has a workspace of its own.
    let counts = DeviceCounts { in_own_workspaces: 1, in_one_workspace: DEVICES_OF_ONE_WORKSPACE };
    let devices = Devices::register(&postgres, &program, counts).await.context("registering devices")?;
    let overload = Overload { postgres, program, devices };
    let mut report = Report::new(overload.postgres.conditions().await?);
    for scenario in args.plan().scenarios {
        overload.row(scenario, &mut report).await.with_context(|| format!("{scenario:?}"))?;
    }
    Ok(report)
}

impl Overload {
    /// One row: an honest device alone, and the same beside an attack.
    async fn row(&self, scenario: Scenario, report: &mut Report) -> Result<()> {
        let server = self.serve().await?;
        let capacity = match scenario {
            Scenario::OverloadThreefold => self.capacity(&server).await?,
            _ => 0.0,
        };
        let attack = Attack::of(scenario, &self.devices, capacity)?;
        output::note(attack.name);
        let device = self.devices.in_own_workspaces[0].clone();
        let honest = Honest::connect(server.address, device, attack.is_honest_compressed)?;
        let (honest, quiet) = honest.push(QUIET_INTERVAL).await?;
        let before = rss_bytes(server.pid())?;
        reset_peak_rss(server.pid()).context("resetting the peak memory of the server")?;

        let tally = Arc::new(Tally::default());
        let rude = attack.start(server.address, &tally).await?;
        let (accepted_before, answered_before, begin) = (tally.accepted(), tally.answered(), Instant::now());
        let probing = health::probe(server.address);
        let (_, attacked) = honest.push(attack.length / PUSHES).await?;
        let per_second = |pushes: u64| (pushes * BATCH) as f64 / begin.elapsed().as_secs_f64();
        let (goodput, offered) =
            (per_second(tally.accepted() - accepted_before), per_second(tally.answered() - answered_before));
        let health = probing.stop().await?;
        let growth = peak_rss_bytes(server.pid())?.saturating_sub(before);
        rude.stop().await;
        output::note(format_args!("  the rude clients got {tally}"));

        let mut add = |what: &str, value: f64, unit, with: &dyn Fn(Figure) -> Figure| {
            report.add(with(Figure::new(format!("{}: {what}", attack.name), Spread::one(value), unit)));
        };
        let at_most = |limit| move |figure: Figure| figure.target(Target::AtMost(limit));
        if capacity > 0.0 {
            let capacity = Spread::one(capacity);
            add("goodput", goodput, "ops/s", &|figure| figure.beside(capacity, None).target(Target::RatioAtLeast(0.8)));
            add("answered", offered, "ops/s", &|figure| figure.beside(capacity, None));
        }
        let quiet_p99 = Spread::one(quiet.p99_ms());
        add("honest pushes refused, of 50", f64::from(attacked.refused), "", &at_most(0.0));
        add("p99 of honest pushes, beside the quiet p99", attacked.p99_ms(), "ms", &|figure| {
            let figure = figure.beside(quiet_p99, None);
            if capacity > 0.0 { figure.target(Target::RatioAtMost(5.0)) } else { figure }
        });
        add("slowest answer of health", health.slowest_ms, "ms", &at_most(1_000.0));
        add("answers of health other than 200", f64::from(health.unready), "", &at_most(0.0));
        add("growth of memory", growth as f64 / MIB, "MiB", &at_most(256.0));
        if let Some(end) = tally.slowest_end() {
            add("slowest end of a hung-up wait", end.as_secs_f64(), "s", &at_most(2.0));
        }
        server.end(&self.postgres).await
    }

    /// Starts a server with few file descriptors, on a database in which nobody has pushed.
    async fn serve(&self) -> Result<MeasuredServer> {
        let database = self.postgres.create(Some(&self.devices.template)).await?;
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // The server inherits the limit of this process, which needs more itself.
        setrlimit(Resource::RLIMIT_NOFILE, SOFT_LIMIT.min(soft), hard)?;
        let server = MeasuredServer::start(&self.program, database, &[]).await;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        server
    }

    /// Ops a second that the server stores for devices of one workspace that wait for each answer.
    async fn capacity(&self, server: &MeasuredServer) -> Result<f64> {
        let devices = &self.devices.in_one_workspace[..CAPACITY_CONNECTIONS];
        let pushers = push::connect(&PushSettings::msgpack(server.address, BATCH)?, devices, 0).await?;
        let control = Arc::<LoadControl>::default();
        let clients = push::closed_loop(pushers, &control);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = control.done();
        tokio::time::sleep(CAPACITY_TIME).await;
        let stored = control.done() - before;
        stop_clients(&control, clients).await?;
        Ok(stored as f64 / CAPACITY_TIME.as_secs_f64())
    }
}
