//! `tidelog backup` and `tidelog restore`: base backups of the whole Postgres, checked, and the way back.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;

use crate::cli::connect::for_command;
use crate::cli::global::Global;
use crate::cli::output::Output;

/// The result, as JSON.
#[derive(Serialize)]
struct Backup {
    backup: PathBuf,
    bytes: u64,
}

/// Backs up the cluster, while its server runs or not.
pub(crate) async fn back_up(global: &Global, directory: PathBuf, output: &Output) -> anyhow::Result<()> {
    let connected = for_command(global).await?;
    let (url, pg_bin, target) = (connected.url.clone(), global.pg_bin.clone(), directory.clone());
    let made = tokio::task::spawn_blocking(move || tidelog_embedded::backup(&url, pg_bin.as_deref(), &target)).await?;
    connected.close().await?;
    let backup = Backup { backup: directory, bytes: made? };
    output.print(&backup, |backup| {
        format!("{} in {}, checked against its manifest", mebibytes(backup.bytes), backup.backup.display())
    })
}

/// Restores a backup into the data directory, which must not hold a cluster.
pub(crate) async fn restore(global: &Global, directory: PathBuf, output: &Output) -> anyhow::Result<()> {
    if global.database_url.is_some() {
        bail!(
            "restore fills the data directory of an embedded Postgres: a backup of yours is restored by starting a Postgres on {}",
            cluster(&directory).display()
        );
    }
    let (pg_bin, source, target) = (global.pg_bin.clone(), directory.clone(), global.data_dir.clone());
    let bytes =
        tokio::task::spawn_blocking(move || tidelog_embedded::restore(&source, pg_bin.as_deref(), &target)).await??;
    let backup = Backup { backup: directory, bytes };
    let data_dir = global.data_dir.display();
    output.print(&backup, |backup| {
        let restored = format!("restored {} to {data_dir}", mebibytes(backup.bytes));
        format!("{restored}; next: `tidelog --data-dir {data_dir} verify`, then `tidelog --data-dir {data_dir} serve`")
    })
}

fn cluster(directory: &Path) -> PathBuf {
    directory.join("postgres")
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}
