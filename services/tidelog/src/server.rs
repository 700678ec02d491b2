//! The server in one process: schema, catalog, gateway, projector, and the tasks that run beside them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use tidelog_core::catalog::Catalog;
use tidelog_gateway::{Gateway, GatewayConfig, admin_server, main_server};
use tidelog_postgres::{Durability, Store, StoreConfig, Wakeups, listen, migrate, views};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::projector_runtime::ProjectorHandle;

/// How often what devices reported about themselves is written to the database.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(3);
/// Pause before the connection that listens for wake-up hints is opened again.
const LISTEN_RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Wake-up hints of other processes that are received and not yet passed on.
const RECEIVED_HINTS_MAX: usize = 1_024;

/// Connections for health and metrics. One is enough, since all who ask share its answer.
const HEALTH_CONNECTIONS: usize = 1;

/// A running server. If it is dropped without [`Server::stop`], the projector's step is aborted and the other tasks end
/// with the tokio runtime.
pub struct Server {
    store: Store,
    address: Option<SocketAddr>,
    admin_address: Option<SocketAddr>,
    gateway: Option<Arc<Gateway>>,
    http_servers: Vec<actix_web::dev::ServerHandle>,
    stop: watch::Sender<bool>,
    projector: Option<ProjectorHandle>,
    background_tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Migrates the database, puts a first catalog in force if there is none, and starts the configured roles on the
    /// current tokio runtime. The server is ready to serve when this returns.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        Durability::of(&config.database_url).await?.check(config.allow_unsafe_durability)?;
        migrate(&config.database_url).await?;
        let pool = |pool_size| Store::new(&StoreConfig { url: config.database_url.clone(), pool_size });
        let health_store = pool(HEALTH_CONNECTIONS)?;
        let taken = ProjectorHandle::connections(&config) + HEALTH_CONNECTIONS;
        let store = pool(config.pool_size.saturating_sub(taken).max(1))?;
        ensure_catalog(&store, &config).await?;
        match views::apply(&config.database_url).await {
            Ok(outcome) => outcome.advice().into_iter().for_each(|advice| tracing::warn!("{advice}")),
            // Analysts then see fewer tables or older columns. Apps do not depend on the views, so the server starts.
            Err(error) => tracing::warn!(%error, "the SQL views do not match the catalog in force"),
        }
        let wakeups = Arc::new(Wakeups::new(config.shared_database, config.roles.projector));
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let (stop, stopping) = watch::channel(false);
        let mut server = Self {
            store: store.clone(),
            address: None,
            admin_address: None,
            gateway: None,
            http_servers: Vec::new(),
            stop,
            projector: None,
            background_tasks: Vec::new(),
        };
        if config.roles.projector {
            server.projector =
                Some(ProjectorHandle::start(&config, Arc::clone(&wakeups), &registry, stopping.clone())?);
        }
        if config.shared_database {
            server.run_in_background(send_hints(store.clone(), Arc::clone(&wakeups)));
            server.run_in_background(receive_hints(store.clone(), Arc::clone(&wakeups)));
        }
        let gateway = Gateway::start(GatewayConfig {
            store,
            health_store,
            wakeups,
            runtime: config.runtime.clone(),
            registry,
            append_workers: config.append_workers,
            group_workspaces: config.group_workspaces,
            resolvers: config.resolvers.clone(),
            connections_max: config.connections_max,
            body_memory_bytes_max: config.body_memory_bytes_max,
            rate_limits: config.rate_limits.clone(),
            data_dir: config.data_dir.clone(),
            stopping: stopping.clone(),
        })?;
        server.open_listeners(&config, &gateway)?;
        server.run_in_background(save_presence(Arc::clone(&gateway)));
        server.gateway = Some(gateway);
        tracing::debug!(config.append_workers, config.projector_workers, config.pool_size, "the server has started");
        Ok(server)
    }

    /// Opens the sockets and serves HTTP on them. A projector without a gateway has health and metrics on the admin
    /// listener.
    fn open_listeners(&mut self, config: &ServerConfig, gateway: &Arc<Gateway>) -> Result<(), ServerError> {
        if config.roles.gateway {
            let failed = |error| ServerError::Listen { address: config.listen, option: "--listen", error };
            let listener = TcpListener::bind(config.listen).map_err(failed)?;
            self.address = Some(listener.local_addr().map_err(failed)?);
            let http = main_server(Arc::clone(gateway), listener, config.workers, config.cors_origins.clone());
            let http = http.map_err(failed)?;
            self.http_servers.push(http.handle());
            self.run_in_background(async move { log_end(http.await) });
        }
        if let Some(address) = config.admin_listen {
            let failed = |error| ServerError::Listen { address, option: "--admin-listen", error };
            let listener = TcpListener::bind(address).map_err(failed)?;
            self.admin_address = Some(listener.local_addr().map_err(failed)?);
            let http = admin_server(Arc::clone(gateway), listener).map_err(failed)?;
            self.http_servers.push(http.handle());
            self.run_in_background(async move { log_end(http.await) });
        }
        Ok(())
    }

    /// Runs a task until it ends or the server stops.
    fn run_in_background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.background_tasks.push(tokio::spawn(task));
    }

    /// The address of the API for apps; `None` without the gateway role.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The address of the admin listener, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The server's database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops the server: responds to the requests that wait, accepts no more, finishes those under way and the projector's
    /// steps, and saves what devices reported about themselves.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for http in &self.http_servers {
            http.stop(true).await;
        }
        if let Some(projector) = self.projector {
            projector.wait_stopped().await;
        }
        if let Some(gateway) = self.gateway {
            gateway.flush_presence().await;
        }
        for task in self.background_tasks {
            task.abort();
        }
    }
}

fn log_end(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "an HTTP server ended");
    }
}

/// Puts the configured catalog in force if none is. One that is in force stays, whatever the configuration names.
async fn ensure_catalog(store: &Store, config: &ServerConfig) -> Result<(), ServerError> {
    let name = || config.catalog.name.clone();
    let catalog =
        Catalog::parse(&config.catalog.source).map_err(|error| ServerError::Catalog { name: name(), error })?;
    if store.catalog_in_force().await?.is_none() {
        if let Some(what) = config.resolvers.missing_for(&catalog) {
            return Err(ServerError::NoResolver { name: name(), what });
        }
        let now = config.runtime.clock.now();
        if store.apply_first_catalog(&config.catalog.source, &catalog, now).await? {
            tracing::info!(version = 1, "{} is in force", config.catalog.name);
        }
    }
    let in_force = store.catalog_in_force().await?;
    let differs = in_force.as_ref().is_some_and(|in_force| in_force.catalog.file != catalog.file);
    if let Some(in_force) = in_force.filter(|_| differs && config.catalog.is_asked_for) {
        let (version, name) = (in_force.version.0, name());
        tracing::warn!(
            version,
            "the catalog in force differs from {name} and stays: run `tidelog catalog apply` to change it"
        );
    }
    Ok(())
}

/// Sends the wake-up hints of this process to the others.
async fn send_hints(store: Store, wakeups: Arc<Wakeups>) {
    loop {
        wakeups.send_notices(&store).await;
    }
}

/// Receives the wake-up hints of other processes, and connects again when the connection is lost.
async fn receive_hints(store: Store, wakeups: Arc<Wakeups>) {
    loop {
        let (sender, mut received) = mpsc::channel(RECEIVED_HINTS_MAX);
        let listening = async { listen(&store, &sender).await };
        let passing_on = async {
            while let Some(notice) = received.recv().await {
                wakeups.on_notice(notice);
            }
        };
        tokio::select! {
            ended = listening => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "no wake-up hints from other processes for now; polling goes on");
                }
            }
            () = passing_on => {}
        }
        tokio::time::sleep(LISTEN_RETRY_PAUSE).await;
    }
}

async fn save_presence(gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(PRESENCE_INTERVAL);
    loop {
        tick.tick().await;
        gateway.flush_presence().await;
    }
}
