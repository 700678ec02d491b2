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
/// Every test opens some connections, and tests run side by side.
const MAX_CONNECTIONS: u32 = 300;

struct Shared {
    cluster: Cluster,
    /// One at a time: a template can be copied only while nobody is connected to it.
    creating: Mutex<()>,
    _dir: TempDir,
}

impl Shared {
    async fn maintain(&self, sql: &str) {
        let _alone = self.creating.lock().await;
        connect(&self.cluster.url("postgres")).await.batch_execute(sql).await.expect("the database is made");
    }
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database of one test, migrated. It goes with the cluster when the process ends.
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// A new one. Panics with the reason if there is no Postgres: a test that cannot run has failed.
    pub async fn create() -> Self {
        let shared = SHARED.get_or_init(start).await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        shared.maintain(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
        Self { url: shared.cluster.url(&name) }
    }

    /// An empty one, without a schema.
    pub async fn create_empty() -> Self {
        let shared = SHARED.get_or_init(start).await;
        let name = format!("empty_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        shared.maintain(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { url: shared.cluster.url(&name) }
    }

    /// Its URL, as its owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection as its owner, past the service: for looking at tables, and for breaking things.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Ends every connection to this database but those of its owner's own tools, as an operator or a failover would.
    pub async fn kill_connections(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidelog'";
        self.connect().await.query(sql, &[]).await.expect("connections are ended");
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
            max_connections: MAX_CONNECTIONS,
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

/// A connection of the test's own runtime, which is why none is shared: a test's runtime ends with it.
async fn connect(url: &str) -> Client {
    let config: Config = url.parse().expect("a URL of our own");
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// Removes what earlier processes left: a static is never dropped, so their directories stay when they end.
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
