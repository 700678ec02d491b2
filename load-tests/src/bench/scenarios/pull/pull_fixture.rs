//! The server and the logs that the pull scenarios read, filled once for all rounds.

use anyhow::{Context, Result};

use crate::bench::environment::devices::Device;
use crate::bench::environment::{Environment, MeasuredServer};
use crate::bench::generator::pull::{Format, Puller};
use crate::bench::generator::push::{self, PushSettings};
use crate::output;

/// Ops of a push that fills the long log, which 16 devices do.
const BATCH: u64 = 100;
/// Ops of a push that fills the short log, which one device does.
const BATCH_OF_ONE_DEVICE: u64 = 1_000;
/// Events after the cursor from which the end of the long log is pulled: at least half as many.
const NEAR_HEAD_EVENTS: i64 = 10_000;

/// A server with filled logs.
pub(super) struct PullFixture {
    /// The server. It has filled the logs itself, so it has their latest events in memory, as it would in use.
    pub(super) server: MeasuredServer,
    /// The log that one client pulls from its start.
    pub(super) long: FilledLog,
    /// The log that eight clients pull from its start.
    pub(super) short: FilledLog,
    /// A cursor of the long log near its head.
    pub(super) near_head: CursorAt,
}

/// The log of a workspace.
#[derive(Clone)]
pub(super) struct FilledLog {
    /// A device of the workspace.
    pub(super) device: Device,
    /// The last position of the log.
    pub(super) head: i64,
}

/// A cursor with its position.
pub(super) struct CursorAt {
    pub(super) cursor: String,
    pub(super) position: i64,
}

impl PullFixture {
    /// Starts the server and fills the logs.
    pub(super) async fn fill(environment: &Environment) -> Result<Self> {
        let (long, short) = if environment.plan.is_quick { (200_000, 50_000) } else { (1_000_000, 250_000) };
        output::note("filling the logs that are pulled");
        let server = environment.serve(environment.database().await?, "gateway").await?;
        let one_device = environment.devices.first(1, false);
        let sharing_devices = environment.devices.first(16, true);
        push_all(&server, one_device, BATCH_OF_ONE_DEVICE, short).await?;
        push_all(&server, sharing_devices, BATCH, long).await?;
        let client = server.database.connect().await?;
        client.batch_execute("VACUUM (ANALYZE) tidelog.log").await?;
        environment.postgres.checkpoint().await?;
        let log_of = async |device: &Device| {
            let sql = "SELECT max(position) FROM tidelog.log WHERE workspace = $1";
            let head = client.query_one(sql, &[&device.workspace]).await?.try_get(0)?;
            Ok::<_, anyhow::Error>(FilledLog { device: device.clone(), head })
        };
        let (long, short) = (log_of(&sharing_devices[0]).await?, log_of(&one_device[0]).await?);
        let near_head = find_near_head(&server, &long).await?;
        Ok(Self { server, long, short, near_head })
    }

    /// The formats that the server supports. Checks a page of each of the paged ones.
    pub(super) async fn supported_formats(&self) -> Result<Vec<Format>> {
        let (address, device, near) = (self.server.address, self.long.device.clone(), self.near_head.cursor.clone());
        let checking = move || {
            let mut supported = Vec::new();
            for format in Format::ALL {
                if Puller::connect(address, &device)?.supports(format, &near)? {
                    supported.push(format);
                } else {
                    output::note(format_args!("the server does not support {format}: left out"));
                }
            }
            for format in [Format::Pages, Format::JsonPages] {
                let mut puller = Puller::connect(address, &device)?;
                puller.check_page(format, "")?;
                puller.check_page(format, &near)?;
            }
            Ok(supported)
        };
        tokio::task::spawn_blocking(checking).await?
    }
}

async fn push_all(server: &MeasuredServer, devices: &[Device], batch: u64, ops: u64) -> Result<()> {
    let settings = PushSettings::msgpack(server.address, batch)?;
    let pushers = push::connect(&settings, devices, 0).await?;
    push::batches(pushers, ops / batch / devices.len() as u64).await?;
    Ok(())
}

/// The last cursor at the end of a page that has enough events after it.
async fn find_near_head(server: &MeasuredServer, log: &FilledLog) -> Result<CursorAt> {
    let (address, device) = (server.address, log.device.clone());
    let pulled =
        tokio::task::spawn_blocking(move || Puller::connect(address, &device)?.pull(Format::Pages, "")).await??;
    let is_far_enough = |(_, position): &(String, i64)| *position <= log.head - NEAR_HEAD_EVENTS / 2;
    let (cursor, position) =
        pulled.page_ends.into_iter().rfind(is_far_enough).context("the log has no page end that far from its head")?;
    Ok(CursorAt { cursor, position })
}
