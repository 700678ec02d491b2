//! What all routes share.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_core::fold::Resolvers;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{Store, Wakeups};
use tokio::runtime::Handle;

use crate::auth::AuthCache;
use crate::catalog_cache::CatalogCache;
use crate::metrics::GatewayMetrics;
use crate::presence::PresenceBuffer;
use crate::pull::tail_cache::TailCache;
use crate::push::appender::Appender;
use crate::read::as_of::PastCatalogs;
use crate::runtime::Runtime;

/// How a gateway is set up.
pub struct GatewayConfig {
    /// The database.
    pub store: Store,
    /// Wake-ups.
    pub wakeups: Arc<Wakeups>,
    /// Clock and randomness.
    pub runtime: Runtime,
    /// Where metrics are registered and read from.
    pub registry: Registry,
    /// Appends that may be under way at once: database connections that pushes use.
    pub append_workers: usize,
    /// Whether one transaction may append to several workspaces. Off under Citus, where that is a two-phase commit.
    pub group_workspaces: bool,
    /// The embedding program's `custom` rules, for records as they were.
    pub resolvers: Resolvers,
}

/// The gateway: shared by all workers, stateless but for caches and queues.
pub struct Gateway {
    pub(crate) store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) appender: Appender,
    pub(crate) auth: AuthCache,
    pub(crate) catalog: CatalogCache,
    pub(crate) presence: PresenceBuffer,
    pub(crate) tails: TailCache,
    pub(crate) resolvers: Resolvers,
    pub(crate) past_catalogs: PastCatalogs,
    /// The runtime that started it, for what is not to end or wait with one worker.
    pub(crate) tasks: Handle,
}

impl Gateway {
    /// Starts the append tasks on the current runtime; they end with the gateway.
    pub fn start(config: GatewayConfig) -> prometheus::Result<Arc<Self>> {
        let metrics = GatewayMetrics::register(&config.registry)?;
        let appender = Appender::start(&config, &metrics);
        Ok(Arc::new(Self {
            appender,
            auth: AuthCache::new(),
            catalog: CatalogCache::new(config.store.clone()),
            presence: PresenceBuffer::default(),
            tails: TailCache::new(config.store.clone(), metrics.tail_bytes.clone()),
            tasks: Handle::current(),
            resolvers: config.resolvers,
            past_catalogs: PastCatalogs::new(),
            store: config.store,
            wakeups: config.wakeups,
            runtime: config.runtime,
            registry: config.registry,
            metrics,
        }))
    }

    /// Forgets what is in memory of a workspace's log. Its next readers read the database.
    pub fn forget_tail(&self, workspace: WorkspaceId) {
        self.tails.forget(workspace);
    }

    /// Writes what devices said of themselves since the last call. Called every few seconds, and before the end.
    pub async fn flush_presence(&self) {
        self.presence.flush(&self.store).await;
    }
}
