//! The load generator against a real server, and the baselines against a real database: a change of either shows here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidelog_core::wire::Encoding;
use tidelog_testkit::TestApp;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::baseline::read::{self, LogRange};
use super::baseline::table::BaselineTable;
use super::baseline::upsert::RecordsCopy;
use super::baseline::{append, commit, copy};
use super::environment::cluster::Database;
use super::environment::devices::{Device, register};
use super::generator::payloads::OpTemplates;
use super::generator::pull::{Format, Puller};
use super::generator::push::{self, PushSettings, PushingDevice};
use super::measure::{Clients, LoadControl, stop_clients};
use crate::client::Client;

const BATCHES: u64 = 3;
const BATCH: u64 = 10;

/// A server with three devices in one workspace.
struct Bench {
    app: TestApp,
    devices: Vec<Device>,
}

impl Bench {
    async fn start() -> Self {
        let app = TestApp::build().catalog(include_str!("environment/catalog.toml")).start().await;
        let (key, client) = (app.key("member", &["*"]).await, Client::new(&app.url(), Encoding::Json).unwrap());
        let mut devices = Vec::new();
        for number in 0..3 {
            devices.push(register(&client, &key, number).await.unwrap());
        }
        Self { app, devices }
    }

    fn database(&self) -> Database {
        Database { name: String::new(), url: self.app.database.url().to_owned() }
    }

    fn settings(&self, encoding: Encoding) -> PushSettings {
        let templates = Arc::new(OpTemplates::new(encoding).unwrap());
        PushSettings { address: self.app.address(), batch: BATCH, encoding, templates }
    }

    /// Lets each device push some batches. Returns the number of events, with those that say what the
    /// catalog and the devices are.
    async fn fill(&self) -> u64 {
        let settings = self.settings(Encoding::MessagePack);
        let pushers = push::connect(&settings, &self.devices, 2 * BATCH).await.unwrap();
        push::batches(pushers, BATCHES).await.unwrap() + 1 + self.devices.len() as u64
    }
}

/// Lets the clients of a baseline run until they have done something.
async fn check_running(clients: Clients, control: Arc<LoadControl>) {
    let begin = Instant::now();
    while control.done() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing is done");
        tokio::task::yield_now().await;
    }
    stop_clients(&control, clients).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_in_either_encoding_is_pulled_in_every_format() {
    let bench = Bench::start().await;
    let events = bench.fill().await;
    let last_seq = BATCHES * BATCH;
    let devices = bench.devices.iter().map(|device| vec![PushingDevice { device: device.clone(), last_seq }]).collect();
    let pushers = push::connect_shared(&bench.settings(Encoding::Json), devices, 0).await.unwrap();
    let events = events + push::batches(pushers, BATCHES).await.unwrap();
    let (address, device) = (bench.app.address(), bench.devices[0].clone());
    let pulling = spawn_blocking(move || pull_in_every_format(address, &device));
    for (format, pulled) in pulling.await.unwrap() {
        assert_eq!(pulled, events, "{format}");
    }
}

fn pull_in_every_format(address: SocketAddr, device: &Device) -> Vec<(Format, u64)> {
    let connect = || Puller::connect(address, device).unwrap();
    let mut puller = connect();
    for format in [Format::Pages, Format::JsonPages] {
        puller.check_page(format, "").unwrap();
    }
    let supported: Vec<Format> =
        Format::ALL.into_iter().filter(|format| connect().supports(*format, "").unwrap()).collect();
    supported.into_iter().map(|format| (format, puller.pull(format, "").unwrap().events)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_may_share_a_connection_and_keep_their_seqs() {
    let bench = Bench::start().await;
    let devices = bench.devices.iter().map(|device| PushingDevice { device: device.clone(), last_seq: 0 }).collect();
    let pushers = push::connect_shared(&bench.settings(Encoding::MessagePack), vec![devices], 0).await.unwrap();
    assert_eq!(push::batches(pushers, 7).await.unwrap(), 7 * BATCH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_baselines_of_push_work_on_the_tables_as_they_are() {
    let bench = Bench::start().await;
    let database = bench.database();
    let in_workspace = |number| Device { workspace: Uuid::from_u128(number), ..bench.devices[0].clone() };
    let devices: Vec<Device> = (0..3).map(in_workspace).collect();
    for table in [BaselineTable::Reference, BaselineTable::Ours] {
        let (control, load) = (Arc::default(), copy::CopyLoad { table, connections: 2, rows: 25, batch: 10 });
        let (table, clients) = copy::start(&database, &devices, load, &control).await.unwrap();
        check_running(clients, control).await;
        assert!(database.bytes_of(table).await.unwrap() > 0);
    }
    let another = Bench::start().await;
    let control = Arc::default();
    let (_, clients) = commit::start(&another.database(), &devices, &control).await.unwrap();
    check_running(clients, control).await;
    let control = Arc::default();
    let clients = append::start(&another.database(), &another.devices[..1], &control).await.unwrap();
    check_running(clients, control).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_baselines_of_pull_and_projecting_read_what_the_server_wrote() {
    let bench = Bench::start().await;
    let events = bench.fill().await;
    bench.app.folded().await;
    let range = LogRange { workspace: bench.devices[0].workspace, after: 0, to: events.cast_signed() };
    let (rows, _) = read::read(&bench.database(), range, 2).await.unwrap();
    assert_eq!(rows, 2 * events);
    let records_copy = RecordsCopy::create(&bench.database()).await.unwrap();
    let workspaces = [bench.devices[0].workspace];
    let of_devices = events - 1 - bench.devices.len() as u64;
    for _ in 0..2 {
        assert_eq!(records_copy.upsert(&workspaces, 1).await.unwrap().0, of_devices);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_counts_what_had_to_wait_for_a_late_response() {
    let bench = Bench::start().await;
    let lock = bench.app.database.connect().await;
    lock.batch_execute("BEGIN; SELECT FROM tidelog.heads FOR UPDATE").await.unwrap();
    // One device, with a push due every 5 ms. The server responds to none until all were due.
    let pushers = push::connect(&bench.settings(Encoding::MessagePack), &bench.devices[..1], 0).await.unwrap();
    let (rate, length) = (200.0 * BATCH as f64, Duration::from_millis(100));
    let control = Arc::<LoadControl>::default();
    let pushing = {
        let control = Arc::clone(&control);
        tokio::spawn(async move { push::open_loop(pushers, rate, (Duration::ZERO, length), &control).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let begin = Instant::now();
    while lock.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "no push waits for the lock");
    }
    let begin = Instant::now();
    while begin.elapsed() < length {
        tokio::task::yield_now().await;
    }
    lock.batch_execute("COMMIT").await.unwrap();
    let latencies = pushing.await.unwrap().unwrap();
    assert_eq!((latencies.count(), control.done()), (20, 20 * BATCH));
    // The tenth push was due 45 ms after the first, and was acknowledged 100 ms after it or later.
    assert!(latencies.quantile_ms(0.5) >= 45.0, "{} ms", latencies.quantile_ms(0.5));
}
