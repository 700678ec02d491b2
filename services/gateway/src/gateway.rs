//! The gateway's state, which all routes share.

use std::path::PathBuf;
use std::sync::Arc;

use prometheus::Registry;
use tidelog_core::fold::Resolvers;
use tidelog_postgres::{Store, Wakeups};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::auth::account_cache::AccountCache;
use crate::caches::catalogs::Catalogs;
use crate::caches::presence::PresenceBuffer;
use crate::limits::bodies::BodyLimits;
use crate::limits::rates::{RateLimitConfig, RateLimits};
use crate::limits::waits::Waits;
use crate::monitoring::append_health::AppendHealth;
use crate::monitoring::database_report::{DatabaseReport, SingleFlight};
use crate::monitoring::metrics::GatewayMetrics;
use crate::pull::shared_pages::SharedPages;
use crate::pull::tail_cache::TailCache;
use crate::push::append_worker::AppendWorker;
use crate::push::appender::Appender;
use crate::runtime::Runtime;

/// Groups that one append worker has under way at most. More would be smaller, and cost more for each op.
const GROUPS_MAX: usize = 16;

/// What a gateway is built from.
pub struct GatewayConfig {
    /// The database.
    pub store: Store,
    /// A connection to the database for health and metrics alone: they are answered while all others are busy.
    pub health_store: Store,
    /// In-process wake-ups: what was appended and folded, here and in other processes.
    pub wakeups: Arc<Wakeups>,
    /// Clock and randomness.
    pub runtime: Runtime,
    /// The registry in which the gateway registers its metrics, and which `/metrics` shows.
    pub registry: Registry,
    /// Number of append workers, and so of groups that Postgres writes at once. At least one is started. While commits are
    /// slow, each has several groups under way, on up to half of the connections together.
    pub append_workers: usize,
    /// Whether one transaction may append to several workspaces. Off under Citus, where that is a two-phase commit.
    pub group_workspaces: bool,
    /// The embedding program's `custom` rules. Reads with `as_of` fold with them.
    pub resolvers: Resolvers,
    /// Connections of clients that the process can have open. Three quarters of them may wait; above seven eighths each
    /// response closes its connection. The rest is for requests that are answered at once, health and pushes above all.
    pub connections_max: usize,
    /// Memory that request bodies may take at once, in bytes, as received and as decompressed.
    pub body_memory_bytes_max: usize,
    /// How many requests a second callers may send.
    pub rate_limits: RateLimitConfig,
    /// The data directory of the database, if it is on this machine: its free disk space is part of health.
    pub data_dir: Option<PathBuf>,
    /// Becomes true when the server stops: requests that wait are answered then.
    pub stopping: watch::Receiver<bool>,
}

/// How many groups one append worker may have under way: together they take half of the connections, and leave the others to
/// pulls and reads.
fn groups_max(connections: usize, workers: usize) -> usize {
    (connections / 2 / workers.max(1)).clamp(1, GROUPS_MAX)
}

/// The gateway. All HTTP workers share one. It holds only caches and queues, whose loss costs no data, so any number of
/// gateways may run beside each other.
///
/// What it does is in `impl Gateway` blocks beside the concept: `auth`, `push`, `pull`, `read`.
pub struct Gateway {
    pub(crate) store: Store,
    pub(crate) health_store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) appender: Appender,
    pub(crate) accounts: AccountCache,
    pub(crate) catalogs: Catalogs,
    pub(crate) presence: PresenceBuffer,
    pub(crate) tails: TailCache,
    pub(crate) shared_pages: SharedPages,
    pub(crate) resolvers: Resolvers,
    pub(crate) waits: Waits,
    pub(crate) bodies: BodyLimits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) database_reports: Arc<SingleFlight<DatabaseReport>>,
    pub(crate) kept_connections_max: usize,
    stopping: watch::Receiver<bool>,
    /// The Tokio runtime that started the gateway. Work that has to outlive a request, or must not wait behind one HTTP
    /// worker's other requests, is spawned here.
    pub(crate) tasks: Handle,
}

impl Gateway {
    /// Builds a gateway and starts its append workers on the current Tokio runtime. They end with the gateway.
    ///
    /// Fails if the registry already has metrics of these names.
    pub fn start(config: GatewayConfig) -> prometheus::Result<Arc<Self>> {
        let metrics = GatewayMetrics::register(&config.registry)?;
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let health = AppendHealth::default();
        let worker = AppendWorker {
            store: config.store.clone(),
            wakeups: Arc::clone(&config.wakeups),
            clock: Arc::clone(&config.runtime.clock),
            metrics: metrics.clone(),
            health: health.clone(),
            group_workspaces: config.group_workspaces,
            groups_max: groups_max(config.store.connections_max(), config.append_workers),
        };
        Ok(Arc::new(Self {
            appender: Appender::start(worker, config.append_workers, health, metrics.appends_waiting.clone()),
            accounts: AccountCache::new(),
            catalogs: Catalogs::new(config.store.clone()),
            presence: PresenceBuffer::default(),
            tails: TailCache::new(config.store.clone(), metrics.tail_bytes.clone()),
            shared_pages: SharedPages::new(),
            tasks: Handle::current(),
            waits: Waits::new(config.connections_max / 4 * 3),
            bodies: BodyLimits::new(config.body_memory_bytes_max),
            rate_limits: RateLimits::new(config.rate_limits),
            data_dir: config.data_dir,
            database_reports: SingleFlight::new(),
            kept_connections_max: config.connections_max / 8 * 7,
            stopping: config.stopping,
            resolvers: config.resolvers,
            store: config.store,
            health_store: config.health_store,
            wakeups: config.wakeups,
            runtime: config.runtime,
            registry: config.registry,
            metrics,
        }))
    }

    /// Resolves when the server stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stopping = self.stopping.clone();
        // An error: the server is gone already.
        async move { _ = stopping.wait_for(|stopping| *stopping).await }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Writes what devices reported about themselves since the last call, and drops what is too old. To be called every few seconds, and once before
    /// the process ends.
    pub async fn flush_presence(&self) {
        self.presence.flush(&self.store).await;
        self.rate_limits.forget_quiet();
        self.shared_pages.forget_old().await;
    }
}
