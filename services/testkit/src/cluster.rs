//! One Postgres for all tests of a process, one database for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tidelog_postgres::migrate;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, Config, NoTls};

const PREFIX: &str = "tidelog-test-";
const TEMPLATE: &str = "template_tidelog";
/// Every test opens some connections, and tests run in parallel.
const CONNECTIONS_MAX: u32 = 300;

struct Shared {
    cluster: Cluster,
    /// Held while a database is created: a template can be copied only while nothing is connected to it.
    creating: Mutex<()>,
    _dir: TempDir,
}

impl Shared {
    async fn maintain(&self, sql: &str) {
        let _guard = self.creating.lock().await;
        connect(&self.cluster.url("postgres")).await.batch_execute(sql).await.expect("the database is created");
    }
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A migrated database for one test. It is removed with its cluster after the process has ended.
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// A new migrated database. Panics with the reason if there is no Postgres: a test that cannot run has failed.
    pub async fn create() -> Self {
        let shared = SHARED.get_or_init(start).await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        shared.maintain(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
        Self { url: shared.cluster.url(&name) }
    }

    /// A new database without a schema.
    pub async fn create_empty() -> Self {
        let shared = SHARED.get_or_init(start).await;
        let name = format!("empty_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        shared.maintain(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { url: shared.cluster.url(&name) }
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

async fn start() -> Shared {
    let started = tokio::task::spawn_blocking(|| {
        sweep(&std::env::temp_dir());
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .expect("a temporary directory");
        let config = ClusterConfig {
            data_dir: dir.path().to_path_buf(),
            pg_bin: std::env::var_os("TIDELOG_PG_BIN").map(PathBuf::from),
            durability: Durability::None,
            max_connections: CONNECTIONS_MAX,
        };
        let cluster = Cluster::start(&config).unwrap_or_else(|e| panic!("tests need Postgres: {e}"));
        (cluster, dir)
    });
    let (cluster, dir) = started.await.expect("the cluster starts");
    let shared = Shared { cluster, creating: Mutex::new(()), _dir: dir };
    shared.maintain(&format!("CREATE DATABASE {TEMPLATE} ENCODING 'UTF8'")).await;
    migrate(&shared.cluster.url(TEMPLATE)).await.expect("the template is migrated");
    shared
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
