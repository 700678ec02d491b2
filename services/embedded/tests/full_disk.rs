//! Postgres dies of a full disk, and the error says so: the log alone has the cause, far above its last lines.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print what they skip")]

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidelog_embedded::{Cluster, ClusterConfig, Durability};
use tokio::time::timeout;
use tokio_postgres::NoTls;

/// How long Postgres may take to give up.
const END_TIME_MAX: Duration = Duration::from_secs(60);
/// What is left of the disk: room for log lines, and far less than a file of the write-ahead log.
const ROOM_BYTES: u64 = 300_000;

/// A file system of its own in a directory, small enough to be filled. It is unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(dir: &Path) -> Result<SmallDisk, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs"]).arg(dir);
        let output = mount.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(SmallDisk(dir.to_owned())) } else { Err(said) }
    }

    /// Takes all space that is left but some for a log.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[1; 1 << 16]).is_ok() {}
        let taken = filler.metadata().unwrap().len();
        filler.set_len(taken - ROOM_BYTES).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn the_error_of_a_postgres_that_ends_on_a_full_disk_names_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let disk = match SmallDisk::mount(dir.path()) {
        Ok(disk) => disk,
        Err(reason) => return println!("skipped: no file system can be mounted here to be filled: {reason}"),
    };
    let pg_bin = std::env::var_os("TIDELOG_PG_BIN").map(PathBuf::from);
    let data_dir = dir.path().join("data");
    let config = ClusterConfig { data_dir, pg_bin, durability: Durability::Full, max_connections: 20 };
    let cluster = Cluster::start(&config).unwrap();
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    disk.fill();
    // Into the write-ahead log and nothing else, until that needs another file.
    while client.simple_query("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))").await.is_ok() {}
    timeout(END_TIME_MAX, cluster.wait_for_end().unwrap()).await.unwrap();
    drop(client);
    let _ = connection.await;
    let error = cluster.stop().unwrap_err().to_string();
    assert!(error.starts_with("no space left on the disk") && error.contains("postgres.log"), "{error}");
}
