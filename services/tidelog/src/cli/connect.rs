//! Connects a command to its database: the one that is named, that of a running server, or an embedded one that runs for
//! as long as the command.

use anyhow::{Context, bail};
use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tidelog_postgres::{Store, StoreConfig, migrate};
use tokio_postgres::{Config, NoTls};

use crate::cli::global::Global;

/// The database within an embedded cluster.
const EMBEDDED_DATABASE: &str = "tidelog";
/// Database connections of a command, unless it asks for more.
const COMMAND_CONNECTIONS_MAX: usize = 2;
/// Database connections that an embedded cluster accepts.
const EMBEDDED_CONNECTIONS_MAX: u32 = 100;

/// The URL of a database and, if it is embedded, the cluster that must outlive its use.
pub(crate) struct Connected {
    pub(crate) url: String,
    cluster: Option<Cluster>,
}

impl Connected {
    /// Resolves when an embedded Postgres that this process started has ended; [`Connected::close`] then returns why.
    /// Never resolves for a database that was named, since that may come back.
    pub(crate) fn wait_for_end(&self) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let end = self.cluster.as_ref().map(Cluster::wait_for_end).transpose()?;
        Ok(async move {
            match end {
                Some(end) => end.await,
                None => std::future::pending().await,
            }
        })
    }

    /// Stops the embedded Postgres, if this process started one.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Some(cluster) = self.cluster {
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
        }
        Ok(())
    }

    /// A handle to the database, with at most `connections` connections.
    fn store(&self, connections: usize) -> anyhow::Result<Store> {
        Ok(Store::new(&StoreConfig { url: self.url.clone(), pool_size: connections })?)
    }
}

/// The database of a server: the one that is named, or an embedded one, which is created if it does not exist.
pub(crate) async fn for_server(global: &Global) -> anyhow::Result<Connected> {
    match &global.database_url {
        Some(url) => Ok(Connected { url: url.clone(), cluster: None }),
        None => start_embedded(global).await,
    }
}

/// The database of a command other than `serve`: the one that is named, or an embedded one, which must exist. If no server
/// runs on it, its Postgres is started for the time of the command.
pub(crate) async fn for_command(global: &Global) -> anyhow::Result<Connected> {
    if let Some(url) = &global.database_url {
        return Ok(Connected { url: url.clone(), cluster: None });
    }
    let data_dir = global.data_dir.clone();
    let running = tokio::task::spawn_blocking(move || Cluster::attach(&data_dir)).await??;
    if let Some(cluster) = running {
        return Ok(Connected { url: cluster.url(EMBEDDED_DATABASE), cluster: Some(cluster) });
    }
    if !global.data_dir.join("postgres").exists() {
        bail!(
            "there is no data in {}: start `tidelog serve` there first, or pass --data-dir or --database-url",
            global.data_dir.display()
        );
    }
    let connected = start_embedded(global).await?;
    migrate(&connected.url).await?;
    Ok(connected)
}

/// Does a command's work on its database, and then stops what was started for it.
pub(crate) async fn with_store<R>(
    global: &Global,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    with_store_of(global, COMMAND_CONNECTIONS_MAX, work).await
}

/// Like [`with_store`], with at most `connections` connections.
pub(crate) async fn with_store_of<R>(
    global: &Global,
    connections: usize,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    with_database(global, connections, async |store, _| work(store).await).await
}

/// Like [`with_store_of`], and passes on the URL too, whose login may migrate. What the store does, it does as the role
/// `tidelog_service`, which may not.
pub(crate) async fn with_database<R>(
    global: &Global,
    connections: usize,
    work: impl AsyncFnOnce(&Store, &str) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let connected = for_command(global).await?;
    let result = work(&connected.store(connections)?, &connected.url).await;
    connected.close().await?;
    result
}

async fn start_embedded(global: &Global) -> anyhow::Result<Connected> {
    let config = ClusterConfig {
        data_dir: global.data_dir.clone(),
        pg_bin: global.pg_bin.clone(),
        durability: Durability::Full,
        max_connections: EMBEDDED_CONNECTIONS_MAX,
    };
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&config)).await??;
    create_database(&cluster.url("postgres")).await.context("cannot create the database in the embedded Postgres")?;
    Ok(Connected { url: cluster.url(EMBEDDED_DATABASE), cluster: Some(cluster) })
}

/// Creates the database of an embedded cluster if it does not exist.
async fn create_database(maintenance_url: &str) -> anyhow::Result<()> {
    let (client, connection) = maintenance_url.parse::<Config>()?.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    let found = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&EMBEDDED_DATABASE]).await?;
    if found.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {EMBEDDED_DATABASE} ENCODING 'UTF8'")).await?;
    }
    drop(client);
    let _ = driver.await;
    Ok(())
}
