//! The attacks: what rude clients do in each row.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tidelog_core::wire::Encoding;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::honest::{PUSH, zstd_post};
use super::rude::RudeConnection;
use crate::bench::environment::devices::{Device, Devices};
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::http::{self, parse_head};
use crate::bench::plan::Scenario;

/// Ops of a push while the capacity is measured and exceeded.
pub(super) const BATCH: u64 = 10;
/// Connections that measure the capacity.
pub(super) const CAPACITY_CONNECTIONS: usize = 32;
/// Long polls whose clients hang up.
const WAITS: usize = 1_100;
/// Bodies that never end, their announced length, and what is sent of each.
const BODIES: usize = 300;
const BODY_BYTES: usize = 4_000_000;
const BODY_SENT_BYTES: usize = 3_990_000;
/// Connections with bodies of spaces, and the length of such a body once it is decompressed.
const SPACES_CONNECTIONS: usize = 200;
const SPACES_BYTES: usize = 33_000_000;
/// How much faster than the capacity pushes are offered.
const FACTOR: f64 = 3.0;
/// How long the server is attacked before anything counts.
const RAMP: Duration = Duration::from_secs(2);

/// An attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    kind: Kind,
    /// The devices that attack.
    devices: Vec<Device>,
    /// How long it goes on.
    pub(super) length: Duration,
    /// Whether the honest device compresses its pushes.
    pub(super) is_honest_compressed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Pushes of [`BATCH`] ops at so many a second, however late the answers are.
    OpenLoop {
        pushes_per_second: f64,
    },
    /// A push after the other on each of so many connections, without a pause.
    ClosedLoop {
        connections: usize,
    },
    Waits,
    Bodies,
    Spaces,
}

/// The answers that the rude clients got.
#[derive(Default)]
pub(super) struct Tally {
    accepted: AtomicU64,
    limited: AtomicU64,
    unavailable: AtomicU64,
    other: AtomicU64,
    none: AtomicU64,
    slowest_end_us: AtomicU64,
}

/// An attack under way.
pub(super) struct Rude(JoinSet<()>);

impl Attack {
    /// The attack of a row. `capacity` is in ops a second.
    pub(super) fn of(scenario: Scenario, devices: &Devices, capacity: f64) -> Result<Self> {
        let shared = &devices.in_one_workspace;
        let length = Duration::from_secs(10);
        let (name, kind, devices) = match scenario {
            Scenario::OverloadThreefold => {
                ensure!(capacity > 0.0, "the capacity is not known");
                let kind = Kind::OpenLoop { pushes_per_second: FACTOR * capacity / BATCH as f64 };
                // The others have pushed already, to measure the capacity.
                ("pushes at 3x the capacity", kind, shared[CAPACITY_CONNECTIONS..].to_vec())
            }
            Scenario::OverloadDevices => {
                ("1,500 devices of one workspace", Kind::ClosedLoop { connections: shared.len() }, shared.clone())
            }
            Scenario::OverloadToken => (
                "one token on 1,500 connections",
                Kind::ClosedLoop { connections: shared.len() },
                vec![shared[0].clone()],
            ),
            Scenario::OverloadWaits => ("1,100 hung-up long polls", Kind::Waits, shared.clone()),
            Scenario::OverloadBodies => ("300 bodies that never end", Kind::Bodies, vec![shared[0].clone()]),
            Scenario::OverloadSpaces => ("200 bodies of 33 MB of spaces", Kind::Spaces, shared.clone()),
            _ => bail!("this is no scenario of overload"),
        };
        let length = if capacity > 0.0 { Duration::from_secs(30) } else { length };
        Ok(Self { name, kind, devices, length, is_honest_compressed: kind == Kind::Spaces })
    }

    /// Starts the attack, and returns once it is under way.
    pub(super) async fn start(&self, address: SocketAddr, tally: &Arc<Tally>) -> Result<Rude> {
        let mut rude = JoinSet::new();
        let device = |index: usize| self.devices[index % self.devices.len()].clone();
        match self.kind {
            Kind::OpenLoop { pushes_per_second } => {
                let templates = Arc::new(OpTemplates::new(Encoding::MessagePack)?);
                let interval = Duration::from_secs_f64(self.devices.len() as f64 / pushes_per_second);
                for (index, device) in self.devices.iter().cloned().enumerate() {
                    let first = Instant::now() + interval.mul_f64(index as f64 / self.devices.len() as f64);
                    rude.spawn(open_loop(
                        address,
                        device,
                        Arc::clone(&templates),
                        (first, interval),
                        Arc::clone(tally),
                    ));
                }
            }
            Kind::ClosedLoop { connections } => {
                let templates = Arc::new(OpTemplates::new(Encoding::MessagePack)?);
                for index in 0..connections {
                    rude.spawn(closed_loop(address, device(index), Arc::clone(&templates), Arc::clone(tally)));
                }
            }
            Kind::Waits => {
                for index in 0..WAITS {
                    rude.spawn(hung_up_wait(address, device(index), Arc::clone(tally)));
                }
            }
            Kind::Bodies => {
                for _ in 0..BODIES {
                    rude.spawn(endless_body(address, device(0), Arc::clone(tally)));
                }
            }
            Kind::Spaces => {
                let mut body = vec![b' '; SPACES_BYTES];
                body.extend_from_slice(b"{\"ops\":[]}");
                let body: Arc<[u8]> = zstd::encode_all(&body[..], 19)?.into();
                for index in 0..SPACES_CONNECTIONS {
                    rude.spawn(spaces(address, device(index), Arc::clone(&body), Arc::clone(tally)));
                }
            }
        }
        sleep(RAMP).await;
        Ok(Rude(rude))
    }
}

impl Rude {
    /// Ends the attack.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

impl Tally {
    /// Requests that got 200.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Requests that got any answer.
    pub(super) fn answered(&self) -> u64 {
        let answers = [&self.accepted, &self.limited, &self.unavailable, &self.other];
        answers.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The slowest end of a wait after its client had hung up. `None` if no client waited.
    pub(super) fn slowest_end(&self) -> Option<Duration> {
        let us = self.slowest_end_us.load(Ordering::Relaxed);
        (us > 0).then_some(Duration::from_micros(us))
    }

    fn count(&self, status: Option<u16>) {
        let count = match status {
            Some(200) => &self.accepted,
            Some(429) => &self.limited,
            Some(503) => &self.unavailable,
            Some(_) => &self.other,
            None => &self.none,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [accepted, limited, unavailable, other, none] =
            [&self.accepted, &self.limited, &self.unavailable, &self.other, &self.none]
                .map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "{accepted} times 200, {limited} times 429, {unavailable} times 503, {other} other answers, {none} none"
        )
    }
}

/// Pushes of one device that are due at equal distances. One that was refused is sent again when the next one is due.
async fn open_loop(
    address: SocketAddr,
    device: Device,
    templates: Arc<OpTemplates>,
    (first, interval): (Instant, Duration),
    tally: Arc<Tally>,
) {
    let (mut connection, mut last_seq, mut due) = (RudeConnection::new(address), 0, first);
    loop {
        sleep_until(due.into()).await;
        let body = templates.body(device.device, last_seq + 1..last_seq + 1 + BATCH);
        let status = connection.exchange(&http::post(PUSH, &device.token, templates.media_type(), &body)).await;
        tally.count(status);
        last_seq += if status == Some(200) { BATCH } else { 0 };
        due += interval;
    }
}

/// Pushes of one op, the next one as soon as the one before was answered, whatever the answer was.
async fn closed_loop(address: SocketAddr, device: Device, templates: Arc<OpTemplates>, tally: Arc<Tally>) {
    let (mut connection, mut seq) = (RudeConnection::new(address), 1);
    loop {
        let body = templates.body(device.device, seq..seq + 1);
        let status = connection.exchange(&http::post(PUSH, &device.token, templates.media_type(), &body)).await;
        tally.count(status);
        // 409: another connection has pushed it with the same token.
        seq += u64::from(status == Some(200) || status == Some(409));
    }
}

/// Long polls of a client that closes its sending half at once, and waits for the server to end the connection.
async fn hung_up_wait(address: SocketAddr, device: Device, tally: Arc<Tally>) {
    let request = http::get("/api/v1/sync/pull?wait=30000", &device.token, "application/json");
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let sent = stream.write_all(&request).await;
        // The wait has to have begun. A client that hangs up before that is gone before it is asked.
        sleep(Duration::from_millis(200)).await;
        if sent.is_err() || stream.shutdown().await.is_err() {
            continue;
        }
        let hung_up = Instant::now();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        let us = u64::try_from(hung_up.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally.slowest_end_us.fetch_max(us, Ordering::Relaxed);
        tally.count(parse_head(&received).ok().flatten().map(|head| head.status));
    }
}

/// A body that never ends: most of it is sent, then nothing.
async fn endless_body(address: SocketAddr, device: Device, tally: Arc<Tally>) {
    let head = format!(
        "POST {PUSH} HTTP/1.1\r\nhost: tidelog\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {BODY_BYTES}\r\n\r\n",
        device.token
    );
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let mut received = Vec::new();
    let body = vec![b'1'; BODY_SENT_BYTES];
    let (mut reading, mut writing) = stream.split();
    let send = async {
        writing.write_all(head.as_bytes()).await?;
        writing.write_all(&body).await?;
        std::future::pending().await
    };
    // The server may refuse it before all is sent.
    let _: std::io::Result<usize> = tokio::select! {
        read = reading.read_to_end(&mut received) => read,
        failed = send => failed,
    };
    tally.count(parse_head(&received).ok().flatten().map(|head| head.status));
}

/// Bodies that are small on the wire and dear to decode, one after the other.
async fn spaces(address: SocketAddr, device: Device, body: Arc<[u8]>, tally: Arc<Tally>) {
    let mut connection = RudeConnection::new(address);
    let request = zstd_post(PUSH, &device.token, &body);
    loop {
        tally.count(connection.exchange(&request).await);
    }
}
