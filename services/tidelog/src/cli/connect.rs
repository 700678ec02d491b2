//! From the options to a database: the one that is named, the running server's, or an embedded one for as long as needed.

use anyhow::{Context, bail};
use tidelog_postgres::{Store, StoreConfig, migrate};
use tokio_postgres::{Config, NoTls};

use crate::cli::global::Global;
use tidelog_embedded::{Cluster, ClusterConfig, Durability};

/// The database of an embedded cluster.
const DATABASE: &str = "tidelog";
/// Connections of a command.
const COMMAND_POOL: usize = 2;
/// Connections an embedded cluster takes.
const MAX_CONNECTIONS: u32 = 100;

/// A database and, where it is embedded, what keeps it running.
pub(crate) struct Connected {
    pub(crate) url: String,
    cluster: Option<Cluster>,
}

impl Connected {
    /// Resolves when an embedded Postgres that this process started is gone; [`Connected::close`] then says why. Never for
    /// a named database, which may come back.
    pub(crate) fn wait_for_end(&self) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let end = self.cluster.as_ref().map(Cluster::wait_for_end).transpose()?;
        Ok(async move {
            match end {
                Some(end) => end.await,
                None => std::future::pending().await,
            }
        })
    }

    /// Stops the embedded Postgres, if there is one and this process started it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Some(cluster) = self.cluster {
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
        }
        Ok(())
    }

    /// A handle for a command.
    pub(crate) fn store(&self, pool_size: usize) -> anyhow::Result<Store> {
        Ok(Store::new(&StoreConfig { url: self.url.clone(), pool_size })?)
    }
}

/// The database that a server runs on: named, or embedded and made if it is not there.
pub(crate) async fn for_server(global: &Global) -> anyhow::Result<Connected> {
    match &global.database_url {
        Some(url) => Ok(Connected { url: url.clone(), cluster: None }),
        None => embedded(global).await,
    }
}

/// The database that a command works on. The embedded one has to exist; where no server runs it is started meanwhile.
async fn for_command(global: &Global) -> anyhow::Result<Connected> {
    if let Some(url) = &global.database_url {
        return Ok(Connected { url: url.clone(), cluster: None });
    }
    let data_dir = global.data_dir.clone();
    let running = tokio::task::spawn_blocking(move || Cluster::attach(&data_dir)).await??;
    if let Some(cluster) = running {
        return Ok(Connected { url: cluster.url(DATABASE), cluster: Some(cluster) });
    }
    if !global.data_dir.join("postgres").exists() {
        bail!(
            "there is no data in {}: start `tidelog serve` there first, or pass --data-dir or --database-url",
            global.data_dir.display()
        );
    }
    let connected = embedded(global).await?;
    migrate(&connected.url).await?;
    Ok(connected)
}

/// Runs a command's work on its database, and leaves the database as it was found.
pub(crate) async fn with_store<R>(
    global: &Global,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    with_store_of(global, COMMAND_POOL, work).await
}

/// The same with as many connections at most.
pub(crate) async fn with_store_of<R>(
    global: &Global,
    connections: usize,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    with_database(global, connections, async |store, _| work(store).await).await
}

/// The same with the database's URL, as the login that migrates, for what the service's role may not do.
pub(crate) async fn with_database<R>(
    global: &Global,
    connections: usize,
    work: impl AsyncFnOnce(&Store, &str) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let connected = for_command(global).await?;
    let worked = work(&connected.store(connections)?, &connected.url).await;
    connected.close().await?;
    worked
}

async fn embedded(global: &Global) -> anyhow::Result<Connected> {
    let config = ClusterConfig {
        data_dir: global.data_dir.clone(),
        pg_bin: global.pg_bin.clone(),
        durability: Durability::Full,
        max_connections: MAX_CONNECTIONS,
    };
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&config)).await??;
    create_database(&cluster.url("postgres")).await.context("cannot create the database of the embedded Postgres")?;
    Ok(Connected { url: cluster.url(DATABASE), cluster: Some(cluster) })
}

async fn create_database(maintenance_url: &str) -> anyhow::Result<()> {
    let (client, connection) = maintenance_url.parse::<Config>()?.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    let found = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if found.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE} ENCODING 'UTF8'")).await?;
    }
    drop(client);
    let _ = driver.await;
    Ok(())
}
