//! The Postgres of a run: a cluster of its own, as durable as a production one, with settings that hold for whatever is
//! measured on it.

use std::fs::{self, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tokio_postgres::{Client, Config, NoTls};

/// The database that every cluster has.
const FIRST: &str = "postgres";
/// Enough for 64 clients, a server and ourselves.
const CONNECTIONS_MAX: u32 = 200;
/// The settings beside the launcher's own. No checkpoint falls into a measurement unless the measurement itself is larger
/// than `max_wal_size`: each begins with one.
const SETTINGS: [(&str, &str); 4] =
    [("max_wal_size", "16GB"), ("min_wal_size", "8GB"), ("checkpoint_timeout", "1h"), ("wal_compression", "off")];
/// Segments of WAL that are laid out beforehand: as many as `min_wal_size` keeps, and more than a rebuild writes
/// beside pushes.
const WAL_SEGMENTS: i32 = 512;
/// Memory that is given to the kernel's cache of files at most.
const PAGE_CACHE_BYTES_MAX: u64 = 64 << 30;

/// A running cluster. Dropped, it is stopped and its files removed.
pub(crate) struct Postgres {
    cluster: Cluster,
    config: ClusterConfig,
    databases: AtomicU32,
    /// Declared after the cluster, so that it goes last.
    _dir: TempDir,
}

/// A database of the cluster. [`Postgres::remove`] ends it earlier than the cluster does.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// Its name.
    pub(crate) name: String,
    /// Its URL, as its owner.
    pub(crate) url: String,
}

impl Postgres {
    /// Makes a cluster with `shared_buffers` of this size and starts it.
    pub(crate) async fn start(pg_bin: Option<PathBuf>, shared_buffers: &'static str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tidelog-bench-").tempdir()?;
        // As root, Postgres runs as another user, who has to get through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let config = ClusterConfig {
            data_dir: dir.path().join("data"),
            pg_bin,
            durability: Durability::Full,
            max_connections: CONNECTIONS_MAX,
        };
        let first = start(&config).await?;
        let client = connect(&first.url(FIRST)).await?;
        for (name, value) in SETTINGS.iter().copied().chain([("shared_buffers", shared_buffers)]) {
            client.batch_execute(&set(name, value)).await?;
        }
        // Some of them take effect at a start alone.
        tokio::task::spawn_blocking(move || first.stop()).await??;
        let cluster = start(&config).await?;
        let postgres = Self { cluster, config, databases: AtomicU32::new(0), _dir: dir };
        postgres.age().await?;
        Ok(postgres)
    }

    /// Makes of it a cluster that has run for a while. To make a segment of WAL anew is to write all of it twice, and
    /// everybody who commits waits for that; and memory that nobody has touched yet costs more than any other.
    async fn age(&self) -> Result<()> {
        let client = self.connect_to(FIRST).await?;
        for _ in 0..WAL_SEGMENTS {
            client.query_one("SELECT pg_logical_emit_message(false, 'bench', '')", &[]).await?;
            client.query_one("SELECT pg_switch_wal()", &[]).await?;
        }
        // Four rows a page.
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

    /// Gives all memory that nobody uses to the kernel's cache of files, as it is on a machine that has run for a day: a
    /// cluster's new pages then take the place of old ones. In a virtual machine a page that is touched for the first time
    /// is one that its host has to find.
    pub(crate) async fn fill_page_cache(&self) -> Result<()> {
        let path = self.config.data_dir.with_file_name("nothing");
        tokio::task::spawn_blocking(move || {
            let memory = fs::read_to_string("/proc/meminfo")?;
            let free = memory.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"));
            let free: u64 = free.context("no MemFree in /proc/meminfo")?.parse()?;
            let bytes = (free * 1024).min(PAGE_CACHE_BYTES_MAX);
            let mut file = fs::OpenOptions::new().read(true).append(true).create(true).open(path)?;
            // A hole takes no disk, and is read into the cache like anything else.
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

    /// What holds for everything that is measured here, for people.
    pub(crate) async fn conditions(&self) -> Result<String> {
        let sql = "SELECT format('Postgres %s, fsync %s, synchronous_commit %s, shared_buffers %s',
            split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'),
            current_setting('synchronous_commit'), current_setting('shared_buffers'))";
        let settings: String = self.connect_to(FIRST).await?.query_one(sql, &[]).await?.try_get(0)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(format!("{cores} cores for generator, server and Postgres; {settings}"))
    }

    /// The directory that Postgres' own programs are in.
    pub(crate) fn programs(&self) -> Result<PathBuf> {
        let program =
            fs::read_link(format!("/proc/{}/exe", self.pid())).context("Postgres' program cannot be found")?;
        program.parent().map(PathBuf::from).context("Postgres' program is nowhere")
    }

    /// Where the cluster's files are.
    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.config.data_dir
    }

    /// Changes a setting of the whole cluster that takes effect at once.
    pub(crate) async fn set(&self, name: &str, value: &str) -> Result<()> {
        let client = self.connect_to(FIRST).await?;
        client.batch_execute(&set(name, value)).await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// A new database: a copy of `template`, which nobody may be connected to, or an empty one.
    pub(crate) async fn create(&self, template: Option<&Database>) -> Result<Database> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.map_or("template0", |database| database.name.as_str());
        let client = self.connect_to(FIRST).await?;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Database { url: self.cluster.url(&name), name })
    }

    /// Removes a database, whoever is connected to it.
    pub(crate) async fn remove(&self, database: Database) -> Result<()> {
        let client = self.connect_to(FIRST).await?;
        Ok(client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await?)
    }

    /// Writes everything to disk that is not there yet, so that nothing measured later pays for what was before.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        Ok(self.connect_to(FIRST).await?.batch_execute("CHECKPOINT").await?)
    }

    /// How many bytes of WAL were ever written.
    pub(crate) async fn wal_bytes(&self) -> Result<i64> {
        let client = self.connect_to(FIRST).await?;
        let row = client.query_one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint", &[]).await?;
        Ok(row.try_get(0)?)
    }

    async fn connect_to(&self, database: &str) -> Result<Client> {
        connect(&self.cluster.url(database)).await
    }
}

impl Database {
    /// A connection as the owner of everything.
    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }

    /// Bytes of a table with its indexes.
    pub(crate) async fn bytes_of(&self, table: &str) -> Result<i64> {
        let row =
            self.connect().await?.query_one("SELECT pg_total_relation_size($1::text::regclass)", &[&table]).await?;
        Ok(row.try_get(0)?)
    }
}

fn set(name: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {name} = '{value}'")
}

impl Drop for Postgres {
    /// Ends the cluster without writing out what is in its cache: its files are removed next.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // Ours, and not waited for yet. If it is gone already, so much the better.
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
    // It ends with its client, who is told of its errors.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
