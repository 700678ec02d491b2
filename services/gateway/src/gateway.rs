//! The gateway's state, which all routes share.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_core::fold::Resolvers;
use tidelog_postgres::{Store, Wakeups};
use tokio::runtime::Handle;

use crate::auth::account_cache::AccountCache;
use crate::catalogs::Catalogs;
use crate::metrics::GatewayMetrics;
use crate::presence::PresenceBuffer;
use crate::pull::tail_cache::TailCache;
use crate::push::append_worker::AppendWorker;
use crate::push::appender::Appender;
use crate::runtime::Runtime;

/// What a gateway is built from.
pub struct GatewayConfig {
    /// The database.
    pub store: Store,
    /// In-process wake-ups: what was appended and folded, here and in other processes.
    pub wakeups: Arc<Wakeups>,
    /// Clock and randomness.
    pub runtime: Runtime,
    /// The registry in which the gateway registers its metrics, and which `/metrics` shows.
    pub registry: Registry,
    /// Number of append workers, and so of database connections that pushes use at once. At least one is started.
    pub append_workers: usize,
    /// Whether one transaction may append to several workspaces. Off under Citus, where that is a two-phase commit.
    pub group_workspaces: bool,
    /// The embedding program's `custom` rules. Reads with `as_of` fold with them.
    pub resolvers: Resolvers,
}

/// The gateway. All HTTP workers share one. It holds only caches and queues, whose loss costs no data, so any number of
/// gateways may run beside each other.
///
/// What it does is in `impl Gateway` blocks beside the concept: `auth`, `push`, `pull`, `read`.
pub struct Gateway {
    pub(crate) store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) appender: Appender,
    pub(crate) accounts: AccountCache,
    pub(crate) catalogs: Catalogs,
    pub(crate) presence: PresenceBuffer,
    pub(crate) tails: TailCache,
    pub(crate) resolvers: Resolvers,
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
        let worker = AppendWorker {
            store: config.store.clone(),
            wakeups: Arc::clone(&config.wakeups),
            clock: Arc::clone(&config.runtime.clock),
            metrics: metrics.clone(),
            group_workspaces: config.group_workspaces,
        };
        Ok(Arc::new(Self {
            appender: Appender::start(worker, config.append_workers, metrics.appends_waiting.clone()),
            accounts: AccountCache::new(),
            catalogs: Catalogs::new(config.store.clone()),
            presence: PresenceBuffer::default(),
            tails: TailCache::new(config.store.clone(), metrics.tail_bytes.clone()),
            tasks: Handle::current(),
            resolvers: config.resolvers,
            store: config.store,
            wakeups: config.wakeups,
            runtime: config.runtime,
            registry: config.registry,
            metrics,
        }))
    }

    /// Writes what devices reported about themselves since the last call. To be called every few seconds, and once before
    /// the process ends.
    pub async fn flush_presence(&self) {
        self.presence.flush(&self.store).await;
    }
}
