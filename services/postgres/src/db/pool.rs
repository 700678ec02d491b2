//! The pool of connections, each with the service's role and its timeouts.

use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::db::error::StoreError;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The session options of every pooled connection: the service's role, and timeouts for everything that could hang. A
/// commit that waits for a standby has no timeout: cancelling it would show data that a failover loses.
///
/// Every statement relies on one index and asks for rows in its order. With sorting disabled no other index qualifies,
/// so each statement is planned once, and a plan that was made for an empty or unanalyzed table is still good when it
/// has grown.
const SESSION_OPTIONS: &str = "-c role=tidelog_service -c default_transaction_isolation=read\\ committed \
    -c statement_timeout=20000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000 \
    -c plan_cache_mode=force_generic_plan -c jit=off \
    -c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off";
/// How long a call waits for a connection before it fails with [`StoreError::Unavailable`].
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a statement may go without a response: somewhat longer than the statement timeout of Postgres.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(25);
/// How long sent data may stay unacknowledged by the database's host before the connection counts as lost.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(15);

/// The address of the database, and the size of the connection pool.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// A libpq URL or key-value string.
    pub url: String,
    /// Most connections of this store.
    pub pool_size: usize,
}

/// The load of the connection pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections that are in use.
    pub in_use: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
}

/// Opens connections on one tokio runtime.
struct OnRuntime(Handle);

impl Connect for OnRuntime {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        // The socket belongs to the runtime on which it is opened, so that happens in the task as well.
        let opening = self.0.spawn(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a database connection ended");
                }
            });
            Ok((client, driver))
        });
        Box::pin(async move {
            match opening.await {
                Ok(opened) => opened,
                // The runtime is ending. The caller fails with the pool's timeout.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// The handle to the database: log, records and accounts. Clones share one connection pool.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    config: Config,
}

impl Store {
    /// A store for a database. Connects to it when a connection is first needed.
    ///
    /// All connections are driven by the tokio runtime that calls this, whichever runtime uses them: a connection
    /// driven by a worker's own runtime would stall and end with that worker.
    pub fn new(config: &StoreConfig) -> Result<Self, StoreError> {
        let mut postgres = Config::from_str(&config.url).map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let given = postgres.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        postgres
            .options(format!("{given}{SESSION_OPTIONS}"))
            .application_name("tidelog")
            .connect_timeout(CONNECTION_TIMEOUT)
            .tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT);
        // `Fast` sends nothing between uses: every transaction is opened by begin(), and rolled back on drop.
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(postgres.clone(), OnRuntime(Handle::current()), manager_config);
        let timeouts = Timeouts {
            wait: Some(CONNECTION_TIMEOUT),
            create: Some(CONNECTION_TIMEOUT),
            recycle: Some(CONNECTION_TIMEOUT),
        };
        // Last in, first out: a connection keeps buffers as large as its largest statement, and taking turns would give
        // such buffers to all of them.
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build();
        let pool = pool.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { pool, config: postgres })
    }

    /// The load of the connection pool.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { in_use: status.size.saturating_sub(status.available), waiting: status.waiting }
    }

    /// Most connections of this store.
    pub fn connections_max(&self) -> usize {
        self.pool.status().max_size
    }

    /// Sends an empty query to Postgres, to find out whether it responds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("").await?;
        Ok(())
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => StoreError::of_connect(&self.config, &error),
            error => error.into(),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let response = timeout(RESPONSE_TIMEOUT, async {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, params).await?)
        });
        let response = response.await;
        response_or_close(client, response)
    }

    /// Runs a statement that returns at most one row.
    pub(crate) async fn query_opt(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        let client = self.client().await?;
        let response = timeout(RESPONSE_TIMEOUT, async {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query_opt(&statement, params).await?)
        });
        let response = response.await;
        response_or_close(client, response)
    }

    /// Runs a statement that commits by itself, and returns how many rows it changed.
    pub(crate) async fn execute(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let response = timeout(RESPONSE_TIMEOUT, async {
            let statement = client.prepare_cached(sql).await?;
            client.execute(&statement, params).await.map_err(StoreError::of_commit)
        });
        let response = response.await;
        response_or_close(client, response)
    }
}

/// The response to a statement. Without one in time the connection is closed, since what it still does is unknown.
pub(crate) fn response_or_close<T>(
    client: Object,
    response: Result<Result<T, StoreError>, Elapsed>,
) -> Result<T, StoreError> {
    response.unwrap_or_else(|_| {
        drop(Object::take(client));
        Err(StoreError::Unavailable("the database does not respond".to_owned()))
    })
}
