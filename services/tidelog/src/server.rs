//! The server in a process: schema, catalog, gateway, projector, and what goes on beside them.

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

/// How often what devices said of themselves is written.
const PRESENCE_EVERY: Duration = Duration::from_secs(3);
/// How long a lost connection for hints is waited for before the next attempt.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// A running server. Dropped without [`Server::stop`] its projector is cut short, and its other tasks end with the runtime.
pub struct Server {
    store: Store,
    address: Option<SocketAddr>,
    admin_address: Option<SocketAddr>,
    gateway: Option<Arc<Gateway>>,
    http: Vec<actix_web::dev::ServerHandle>,
    stop: watch::Sender<bool>,
    projector: Option<ProjectorHandle>,
    beside: Vec<JoinHandle<()>>,
}

impl Server {
    /// Migrates the database, sees to a catalog, and starts what the roles name on the current tokio runtime.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        Durability::of(&config.database_url).await?.check(config.allow_unsafe_durability)?;
        migrate(&config.database_url).await?;
        let pool_size = config.pool_size.saturating_sub(ProjectorHandle::connections(&config)).max(1);
        let store = Store::new(&StoreConfig { url: config.database_url.clone(), pool_size })?;
        see_to_catalog(&store, &config).await?;
        if let Err(error) = views::apply(&config.database_url).await {
            // Analysts read less or something older; the apps are not to wait for that.
            tracing::warn!(%error, "the views of the tables are not those of the catalog in force");
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
            http: Vec::new(),
            stop,
            projector: None,
            beside: Vec::new(),
        };
        if config.roles.projector {
            server.projector = Some(ProjectorHandle::start(&config, Arc::clone(&wakeups), &registry, stopping)?);
        }
        if config.shared_database {
            server.beside.push(tokio::spawn(tell(store.clone(), Arc::clone(&wakeups))));
            server.beside.push(tokio::spawn(hear(store.clone(), Arc::clone(&wakeups))));
        }
        let gateway = Gateway::start(GatewayConfig {
            store,
            wakeups,
            runtime: config.runtime.clone(),
            registry,
            append_workers: config.append_workers,
            group_workspaces: config.group_workspaces,
            resolvers: config.resolvers.clone(),
        })?;
        server.serve(&config, &gateway)?;
        server.beside.push(tokio::spawn(save_presence(Arc::clone(&gateway))));
        server.gateway = Some(gateway);
        Ok(server)
    }

    /// Opens the sockets. A projector alone still answers health and metrics on the admin listener.
    fn serve(&mut self, config: &ServerConfig, gateway: &Arc<Gateway>) -> Result<(), ServerError> {
        let failed = |address| move |error| ServerError::Listen { address, error };
        if config.roles.gateway {
            let listener = TcpListener::bind(config.listen).map_err(failed(config.listen))?;
            self.address = Some(listener.local_addr().map_err(failed(config.listen))?);
            let http = main_server(Arc::clone(gateway), listener, config.workers).map_err(failed(config.listen))?;
            self.http.push(http.handle());
            self.beside.push(tokio::spawn(async move { log_end(http.await) }));
        }
        if let Some(address) = config.admin_listen {
            let listener = TcpListener::bind(address).map_err(failed(address))?;
            self.admin_address = Some(listener.local_addr().map_err(failed(address))?);
            let http = admin_server(Arc::clone(gateway), listener).map_err(failed(address))?;
            self.http.push(http.handle());
            self.beside.push(tokio::spawn(async move { log_end(http.await) }));
        }
        Ok(())
    }

    /// Where apps reach it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where operators reach it.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Its database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes no more requests, finishes those at hand and the projector's step, saves what is only in memory.
    pub async fn stop(self) {
        for http in &self.http {
            http.stop(true).await;
        }
        self.stop.send_replace(true);
        if let Some(folding) = self.projector {
            folding.end().await;
        }
        if let Some(gateway) = self.gateway {
            gateway.flush_presence().await;
        }
        for task in self.beside {
            task.abort();
        }
    }
}

fn log_end(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// Puts the first catalog in force; one that is in force stays, whatever the configuration names.
async fn see_to_catalog(store: &Store, config: &ServerConfig) -> Result<(), ServerError> {
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
            "the catalog in force differs from {name} and stays: `tidelog catalog apply` changes it"
        );
    }
    Ok(())
}

async fn tell(store: Store, wakeups: Arc<Wakeups>) {
    loop {
        wakeups.send_notices(&store).await;
    }
}

async fn hear(store: Store, wakeups: Arc<Wakeups>) {
    loop {
        let (sender, mut heard) = mpsc::channel(1_024);
        let listening = async { listen(&store, &sender).await };
        let feeding = async {
            while let Some(notice) = heard.recv().await {
                wakeups.on_notice(notice);
            }
        };
        tokio::select! {
            ended = listening => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "hints of other processes are lost for now; polling goes on");
                }
            }
            () = feeding => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn save_presence(gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(PRESENCE_EVERY);
    loop {
        tick.tick().await;
        gateway.flush_presence().await;
    }
}
