//! The generator against a real server, and the limits against a real database: a change of either shows here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidelog_core::wire::Encoding;
use tidelog_testkit::TestApp;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::bodies::Stencils;
use super::cluster::Database;
use super::fleet::{Device, register};
use super::limits::read::{self, LogSlice};
use super::limits::table::Target;
use super::limits::upsert::Copy;
use super::limits::{append, commit, copy};
use super::measure::{Clients, Pace, end};
use super::pull::{Form, Puller};
use super::push::{self, Pushing};
use crate::client::Client;

const BATCHES: u64 = 3;
const BATCH: u64 = 10;

struct Bench {
    app: TestApp,
    devices: Vec<Device>,
}

impl Bench {
    async fn start() -> Self {
        let app = TestApp::build().catalog(include_str!("catalog.toml")).start().await;
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

    fn pushing(&self, encoding: Encoding) -> Pushing {
        let stencils = Arc::new(Stencils::new(encoding).unwrap());
        Pushing { address: self.app.address(), batch: BATCH, encoding, stencils }
    }

    /// Every device pushes some batches; how many events that are, the catalog's included.
    async fn fill(&self) -> u64 {
        let pushers = push::connect(&self.pushing(Encoding::MessagePack), &self.devices, 2 * BATCH).await.unwrap();
        push::batches(pushers, BATCHES).await.unwrap() + 1
    }

    /// Lets clients of a limit run until they have done something.
    async fn works(&self, clients: Clients, pace: Arc<Pace>) {
        let begin = Instant::now();
        while pace.done() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(30), "nothing is done");
            tokio::task::yield_now().await;
        }
        end(&pace, clients).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_in_either_encoding_comes_back_in_every_form() {
    let bench = Bench::start().await;
    let events = bench.fill().await;
    let last_seq = BATCHES * BATCH;
    let crews = bench.devices.iter().map(|device| vec![(device.clone(), last_seq)]).collect();
    let pushers = push::connect_crews(&bench.pushing(Encoding::Json), crews, 0).await.unwrap();
    let events = events + push::batches(pushers, BATCHES).await.unwrap();
    let (address, device) = (bench.app.address(), bench.devices[0].clone());
    let pulling = spawn_blocking(move || pulled_in_every_form(address, &device));
    for (form, pulled) in pulling.await.unwrap() {
        assert_eq!(pulled, events, "{form:?}");
    }
}

fn pulled_in_every_form(address: SocketAddr, device: &Device) -> Vec<(Form, u64)> {
    let mut puller = Puller::new(address, device).unwrap();
    for form in [Form::Pages, Form::JsonPages] {
        puller.check_page(form, "").unwrap();
    }
    let forms = [Form::Pages, Form::Stream, Form::JsonPages, Form::JsonLines];
    let spoken = forms.into_iter().filter(|form| Puller::new(address, device).unwrap().is_spoken(*form, "").unwrap());
    let spoken: Vec<Form> = spoken.collect();
    spoken.into_iter().map(|form| (form, puller.pull(form, "").unwrap().events)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_may_share_a_connection_and_keep_their_seqs() {
    let bench = Bench::start().await;
    let crew = bench.devices.iter().map(|device| (device.clone(), 0)).collect();
    let pushers = push::connect_crews(&bench.pushing(Encoding::MessagePack), vec![crew], 0).await.unwrap();
    assert_eq!(push::batches(pushers, 7).await.unwrap(), 7 * BATCH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_push_work_on_the_tables_as_they_are() {
    let bench = Bench::start().await;
    let database = bench.database();
    let apart = |number| Device { workspace: Uuid::from_u128(number), ..bench.devices[0].clone() };
    let apart: Vec<Device> = (0..3).map(apart).collect();
    for target in [Target::Reference, Target::Ours] {
        let (pace, shape) = (Arc::default(), copy::Shape { target, connections: 2, rows: 25, batch: 10 });
        let (table, clients) = copy::start(&database, &apart, shape, &pace).await.unwrap();
        bench.works(clients, pace).await;
        assert!(database.bytes_of(table).await.unwrap() > 0);
    }
    let another = Bench::start().await;
    let pace = Arc::default();
    let (_, clients) = commit::start(&another.database(), &apart, &pace).await.unwrap();
    another.works(clients, pace).await;
    let pace = Arc::default();
    let clients = append::start(&another.database(), &another.devices[..1], &pace).await.unwrap();
    another.works(clients, pace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_pull_and_projecting_read_what_the_server_wrote() {
    let bench = Bench::start().await;
    let events = bench.fill().await;
    bench.app.folded().await;
    let slice = LogSlice { workspace: bench.devices[0].workspace, after: 0, to: events.cast_signed() };
    let (rows, _) = read::read(&bench.database(), slice, 2).await.unwrap();
    assert_eq!(rows, 2 * events);
    let table = Copy::create(&bench.database()).await.unwrap();
    let workspaces = [bench.devices[0].workspace];
    for _ in 0..2 {
        assert_eq!(table.upsert(&workspaces, 1).await.unwrap().0, events - 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_counts_what_had_to_wait_for_a_late_answer() {
    let bench = Bench::start().await;
    let lock = bench.app.database.connect().await;
    lock.batch_execute("BEGIN; SELECT FROM tidelog.heads FOR UPDATE").await.unwrap();
    // One device, due every 5 ms; nothing is answered until all of them were due.
    let pushers = push::connect(&bench.pushing(Encoding::MessagePack), &bench.devices[..1], 0).await.unwrap();
    let (rate, length, pace) = (200.0 * BATCH as f64, Duration::from_millis(100), Arc::<Pace>::default());
    let pushing = {
        let pace = Arc::clone(&pace);
        tokio::spawn(async move { push::open_loop(pushers, rate, (Duration::ZERO, length), &pace).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let begun = Instant::now();
    while lock.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no push waits for the lock");
    }
    let begun = Instant::now();
    while begun.elapsed() < length {
        tokio::task::yield_now().await;
    }
    lock.batch_execute("COMMIT").await.unwrap();
    let latencies = pushing.await.unwrap().unwrap();
    assert_eq!((latencies.count(), pace.done()), (20, 20 * BATCH));
    // The tenth was due 45 ms after the first and answered 100 ms after it, or later.
    assert!(latencies.quantile_ms(0.5) >= 45.0, "{} ms", latencies.quantile_ms(0.5));
}
