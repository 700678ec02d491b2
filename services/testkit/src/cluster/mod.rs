//! One Postgres for all tests of a process, or of a run of cargo-nextest, and one database for each test.

mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tidelog_postgres::migrate;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

pub use shared::serve_nextest;

const PREFIX: &str = "tidelog-test-";
const TEMPLATE: &str = "template_tidelog";
/// Every test opens some connections, and tests run in parallel.
const CONNECTIONS_MAX: u32 = 300;

struct TestCluster {
    cluster: Cluster,
    /// `None` for the cluster of another process.
    _dir: Option<TempDir>,
}

static CLUSTER: OnceCell<TestCluster> = OnceCell::const_new();

/// A migrated database for one test. It is removed with its cluster after the tests have ended.
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// A new migrated database. Panics with the reason if there is no Postgres: a test that cannot run has failed.
    pub async fn create() -> Self {
        Self::create_from(TEMPLATE).await
    }

    /// A new database without a schema.
    pub async fn create_empty() -> Self {
        Self::create_from("template0").await
    }

    async fn create_from(template: &str) -> Self {
        let cluster = &CLUSTER.get_or_init(start).await.cluster;
        let name = format!("test_{:x}", rand::random::<u64>());
        create_database(cluster, &format!("{name} TEMPLATE {template}")).await;
        Self { url: cluster.url(&name) }
    }

    /// The database's URL, for its owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection as the owner, which bypasses the service: to look at tables and to break things.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Ends every connection of servers to this database, as an operator or a failover would. Connections of the test
    /// stay, since their `application_name` is another one.
    pub async fn kill_connections(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidelog'";
        self.connect().await.query(sql, &[]).await.expect("the connections are ended");
    }
}

/// Creates databases one at a time, in all processes that use the cluster: a template can be copied only while nothing is
/// connected to it.
async fn create_database(cluster: &Cluster, name_and_options: &str) {
    let client = connect(&cluster.url("postgres")).await;
    // Held until the connection ends.
    client.batch_execute("SELECT pg_advisory_lock(1)").await.expect("the lock is taken");
    client.batch_execute(&format!("CREATE DATABASE {name_and_options}")).await.expect("the database is created");
}

async fn start() -> TestCluster {
    if let Some(dir) = std::env::var_os(shared::DIR_VARIABLE) {
        let cluster = Cluster::attach(Path::new(&dir)).expect("the shared Postgres is readable");
        return TestCluster { cluster: cluster.expect("the shared Postgres runs"), _dir: None };
    }
    sweep(&std::env::temp_dir());
    let dir = tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir();
    let dir = dir.expect("a temporary directory");
    let cluster = start_in(dir.path().to_path_buf()).await;
    TestCluster { cluster, _dir: Some(dir) }
}

/// Starts a cluster, with the template of the tests' databases.
async fn start_in(data_dir: PathBuf) -> Cluster {
    let config = ClusterConfig {
        data_dir,
        pg_bin: std::env::var_os("TIDELOG_PG_BIN").map(PathBuf::from),
        durability: Durability::None,
        max_connections: CONNECTIONS_MAX,
    };
    let started = tokio::task::spawn_blocking(move || Cluster::start(&config));
    let cluster =
        started.await.expect("the start does not panic").unwrap_or_else(|e| panic!("tests need Postgres: {e}"));
    create_database(&cluster, &format!("{TEMPLATE} ENCODING 'UTF8'")).await;
    migrate(&cluster.url(TEMPLATE)).await.expect("the template is migrated");
    cluster
}

/// A new connection on the runtime of the calling test. None is shared, since a test's runtime ends with the test.
async fn connect(url: &str) -> Client {
    let config: Config = url.parse().expect("a URL that this module made");
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// Removes the directories of processes that have ended. A static is never dropped, so no process removes its own.
fn sweep(temp: &Path) {
    let Ok(entries) = fs::read_dir(temp) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
