//! The pool of connections, each running as the service's role with its timeouts set.

use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::db::error::StoreError;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The session of every pooled connection: the service's role, and bounds on everything that could hang. A commit that
/// waits for a standby is not bounded: cancelling it would show data that a failover loses.
///
/// Every statement names the index that it relies on, and asks for rows in that index's order: with sorting out of
/// question no other index will do. So each is planned once, and a plan that was made while a table was empty, or unknown
/// to the planner, is still good when it has grown.
const SESSION: &str = "-c role=tidelog_service -c default_transaction_isolation=read\\ committed \
    -c statement_timeout=20000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000 \
    -c plan_cache_mode=force_generic_plan -c jit=off \
    -c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off";
/// How long a call waits for a connection before it is told that the database is unavailable.
const POOL_WAIT: Duration = Duration::from_secs(5);

/// How long a statement may go without an answer: somewhat longer than Postgres itself lets one run.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// How long a database may leave what was sent unacknowledged before its connection counts as lost.
const SILENCE: Duration = Duration::from_secs(15);

/// Where the database is, and how many connections are kept to it.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// A libpq URL or key-value string.
    pub url: String,
    /// Most connections of this process.
    pub pool_size: usize,
}

/// How busy the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections in somebody's hands.
    pub in_use: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// Opens connections on one runtime.
struct OnRuntime(Handle);

impl Connect for OnRuntime {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        // The socket too belongs to the runtime that opens it.
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
                // The runtime is ending, and the pool's timeout tells whoever waits.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// The handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    config: Config,
}

impl Store {
    /// Makes the pool; connections are opened as they are needed, and driven by the current tokio runtime whoever asks
    /// for them: one that a worker's own runtime drove would stall and end with that worker.
    pub fn new(config: &StoreConfig) -> Result<Self, StoreError> {
        let mut postgres = Config::from_str(&config.url).map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let given = postgres.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        postgres
            .options(format!("{given}{SESSION}"))
            .application_name("tidelog")
            .connect_timeout(POOL_WAIT)
            .tcp_user_timeout(SILENCE);
        // `Fast` sends nothing between uses: every transaction is opened by begin(), and rolled back on drop.
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(postgres.clone(), OnRuntime(Handle::current()), manager_config);
        let timeouts = Timeouts { wait: Some(POOL_WAIT), create: Some(POOL_WAIT), recycle: Some(POOL_WAIT) };
        // The connection used last is used next: each keeps buffers as large as its largest statement, so in turns the
        // whole pool would have them.
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build();
        let pool = pool.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { pool, config: postgres })
    }

    /// How busy the pool is.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { in_use: status.size.saturating_sub(status.available), waiting: status.waiting }
    }

    /// Asks Postgres for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("").await?;
        Ok(())
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) async fn query(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let answered = timeout(ANSWER_WITHIN, async {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, params).await?)
        });
        let answered = answered.await;
        settle(client, answered)
    }

    pub(crate) async fn query_opt(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        let client = self.client().await?;
        let answered = timeout(ANSWER_WITHIN, async {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query_opt(&statement, params).await?)
        });
        let answered = answered.await;
        settle(client, answered)
    }

    pub(crate) async fn execute(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let answered = timeout(ANSWER_WITHIN, async {
            let statement = client.prepare_cached(sql).await?;
            client.execute(&statement, params).await.map_err(StoreError::of_commit)
        });
        let answered = answered.await;
        settle(client, answered)
    }
}

/// The answer of a statement; without one in time the connection is given up, since nobody knows what it still does.
pub(crate) fn settle<T>(client: Object, answered: Result<Result<T, StoreError>, Elapsed>) -> Result<T, StoreError> {
    answered.unwrap_or_else(|_| {
        drop(Object::take(client));
        Err(StoreError::Unavailable("the database does not answer".to_owned()))
    })
}
