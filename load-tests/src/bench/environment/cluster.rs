//! The Postgres cluster of a run: as durable as in production, and with the same settings for server and baselines.

use std::fs::{self, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tokio_postgres::{Client, Config, NoTls};

use super::slow_flush::SlowFlush;

/// The database that every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";
/// Enough for 64 clients, a server and the benchmark's own connections.
const CONNECTIONS_MAX: u32 = 200;
/// Settings beside the launcher's own. Each measurement begins with a checkpoint, and with these no other one falls into
/// it unless the measurement itself writes more than `max_wal_size`.
const SETTINGS: [(&str, &str); 4] =
    [("max_wal_size", "16GB"), ("min_wal_size", "8GB"), ("checkpoint_timeout", "1h"), ("wal_compression", "off")];
/// WAL segments that are created before anything is measured: as many as `min_wal_size` keeps, and more than a rebuild
/// and the pushes beside it write.
const WAL_SEGMENTS: i32 = 512;
/// Limit of the memory that [`Postgres::fill_page_cache`] fills.
const PAGE_CACHE_BYTES_MAX: u64 = 64 << 30;

/// A running cluster. Dropping it stops it and removes its files.
pub(crate) struct Postgres {
    cluster: Cluster,
    config: ClusterConfig,
    /// How many databases were created: the number in the name of the next one.
    databases: AtomicU32,
    /// Its flushes, if they can be made slower.
    slow_flush: Option<SlowFlush>,
    /// Declared after the cluster, so that it is dropped last.
    _dir: TempDir,
}

/// A database of the cluster. It lives as long as the cluster, unless [`Postgres::remove`] drops it earlier.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// The database's name.
    pub(crate) name: String,
    /// A URL to connect to it as its owner.
    pub(crate) url: String,
}

impl Postgres {
    /// Creates a cluster with `shared_buffers` of this size, starts it and warms it up. With `slow_flushes` its flushes can be
    /// made slower later.
    pub(crate) async fn start(
        pg_bin: Option<PathBuf>,
        shared_buffers: &'static str,
        slow_flushes: bool,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tidelog-bench-").tempdir()?;
        // If this program runs as root, Postgres runs as another user, who needs access to the directory.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let mut config = ClusterConfig {
            data_dir: dir.path().join("data"),
            pg_bin,
            durability: Durability::Full,
            max_connections: CONNECTIONS_MAX,
        };
        let first = start(&config).await?;
        let client = connect(&first.url(MAINTENANCE_DATABASE)).await?;
        for (name, value) in SETTINGS.iter().copied().chain([("shared_buffers", shared_buffers)]) {
            client.batch_execute(&set(name, value)).await?;
        }
        let mut slow_flush = None;
        if slow_flushes {
            let (flushes, slow_programs) = SlowFlush::prepare(dir.path(), &programs_of(first.pid())?)?;
            (slow_flush, config.pg_bin) = (Some(flushes), Some(slow_programs));
        }
        // Some of the settings take effect at the next start only.
        tokio::task::spawn_blocking(move || first.stop()).await??;
        let cluster = start(&config).await?;
        let postgres = Self { cluster, config, databases: AtomicU32::new(0), slow_flush, _dir: dir };
        postgres.warm_up().await?;
        Ok(postgres)
    }

    /// Brings the cluster into the state of one that has run for a while. A new WAL segment is written in full before it
    /// is used, and every commit waits for that; a recycled one is not. And the first use of a page of `shared_buffers`
    /// costs a page fault.
    async fn warm_up(&self) -> Result<()> {
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        for _ in 0..WAL_SEGMENTS {
            client.query_one("SELECT pg_logical_emit_message(false, 'bench', '')", &[]).await?;
            client.query_one("SELECT pg_switch_wal()", &[]).await?;
        }
        // Twice as many pages as shared_buffers has, at four rows a page.
        let rows = "2 * 4 * (SELECT setting::bigint FROM pg_settings WHERE name = 'shared_buffers')";
        client
            .batch_execute(&format!(
                "CREATE UNLOGGED TABLE filler (filler text);
                 INSERT INTO filler SELECT repeat('x', 1900) FROM generate_series(1, {rows});
                 DROP TABLE filler"
            ))
            .await?;
        self.checkpoint().await
    }

    /// Fills all free memory with the kernel's page cache, as on a machine that has run for a day. A new page of the
    /// cluster then replaces an old one of the cache. Otherwise, in a virtual machine, the host would have to provide
    /// memory for it first, which is slower.
    pub(crate) async fn fill_page_cache(&self) -> Result<()> {
        let path = self.config.data_dir.with_file_name("page_cache_filler");
        tokio::task::spawn_blocking(move || {
            let memory = fs::read_to_string("/proc/meminfo")?;
            let free = memory.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"));
            let free: u64 = free.context("/proc/meminfo has no MemFree")?.parse()?;
            let bytes = (free * 1024).min(PAGE_CACHE_BYTES_MAX);
            let mut file = fs::OpenOptions::new().read(true).append(true).create(true).open(path)?;
            // A hole in a file takes no disk space, but is cached like data when it is read.
            let begin = file.metadata()?.len();
            file.set_len(begin + bytes)?;
            file.seek(SeekFrom::Start(begin))?;
            let mut chunk = vec![0; 1 << 20];
            while file.read(&mut chunk)? > 0 {}
            Ok(())
        })
        .await?
    }

    /// The postmaster's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.cluster.pid()
    }

    /// The conditions of all measurements, as a line for people: cores, version and settings.
    pub(crate) async fn conditions(&self) -> Result<String> {
        let sql = "SELECT format('Postgres %s, fsync %s, synchronous_commit %s, shared_buffers %s',
            split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'),
            current_setting('synchronous_commit'), current_setting('shared_buffers'))";
        let settings: String = self.connect_to(MAINTENANCE_DATABASE).await?.query_one(sql, &[]).await?.try_get(0)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(format!("{cores} cores for generator, server and Postgres; {settings}"))
    }

    /// The directory of Postgres' own programs.
    pub(crate) fn programs(&self) -> Result<PathBuf> {
        programs_of(self.pid())
    }

    /// Makes each flush of the WAL take longer by this. The cluster has to be started with slow flushes.
    pub(crate) async fn slow_down_flushes(&self, delay_us: u32) -> Result<()> {
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        let method: String = client.query_one("SHOW wal_sync_method", &[]).await?.try_get(0)?;
        ensure!(method == "fdatasync", "flushes by {method} cannot be made slower");
        self.slow_flush.as_ref().context("the cluster was started without slow flushes")?.set(delay_us)
    }

    /// The directory of the cluster's files.
    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.config.data_dir
    }

    /// Changes a setting of the whole cluster and reloads the configuration. For settings that need no restart.
    pub(crate) async fn set(&self, name: &str, value: &str) -> Result<()> {
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        client.batch_execute(&set(name, value)).await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// Creates a database: a copy of `template`, to which nobody may be connected, or an empty one.
    pub(crate) async fn create(&self, template: Option<&Database>) -> Result<Database> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.map_or("template0", |database| database.name.as_str());
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Database { url: self.cluster.url(&name), name })
    }

    /// Drops a database and the connections to it.
    pub(crate) async fn remove(&self, database: Database) -> Result<()> {
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        Ok(client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await?)
    }

    /// Writes all dirty pages to disk, so that the next measurement does not pay for what ran before it.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        Ok(self.connect_to(MAINTENANCE_DATABASE).await?.batch_execute("CHECKPOINT").await?)
    }

    /// Bytes of WAL that the cluster has written since it was created.
    pub(crate) async fn wal_bytes(&self) -> Result<i64> {
        let client = self.connect_to(MAINTENANCE_DATABASE).await?;
        let row = client.query_one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint", &[]).await?;
        Ok(row.try_get(0)?)
    }

    async fn connect_to(&self, database: &str) -> Result<Client> {
        connect(&self.cluster.url(database)).await
    }
}

impl Database {
    /// Connects as the owner of the database.
    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }

    /// The size of a table with its indexes, in bytes.
    pub(crate) async fn bytes_of(&self, table: &str) -> Result<i64> {
        let row =
            self.connect().await?.query_one("SELECT pg_total_relation_size($1::text::regclass)", &[&table]).await?;
        Ok(row.try_get(0)?)
    }
}

/// The directory of the programs of a running Postgres.
fn programs_of(pid: u32) -> Result<PathBuf> {
    let program =
        fs::read_link(format!("/proc/{pid}/exe")).context("the program of the running Postgres cannot be found")?;
    program.parent().map(PathBuf::from).context("the program of the running Postgres is in no directory")
}

fn set(name: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {name} = '{value}'")
}

impl Drop for Postgres {
    /// Stops the cluster at once, without a checkpoint: its files are removed next.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // A child that was not waited for, so its pid was not reused. It may have ended already, which is fine.
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        }
    }
}

async fn start(config: &ClusterConfig) -> Result<Cluster> {
    let config = config.clone();
    Ok(tokio::task::spawn_blocking(move || Cluster::start(&config)).await??)
}

async fn connect(url: &str) -> Result<Client> {
    let config: Config = url.parse()?;
    let (client, connection) = config.connect(NoTls).await.context("connecting to Postgres")?;
    // The connection ends with its client, and the client's calls return its errors.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
