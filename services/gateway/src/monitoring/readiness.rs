//! Whether pushes and pulls work: `/health/ready`, within a second whatever the database does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidelog_core::time::UnixMs;
use tidelog_postgres::Store;

use crate::caches::presence::ACTIVE_AGE_MS_MAX;
use crate::gateway::Gateway;
use crate::monitoring::database_report::{DatabaseReport, lag_seconds};

/// How long a check of health waits for the database.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(800);
/// Free bytes of the disk below which pushes are about to fail.
const FREE_DISK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// The SQLSTATE of a full disk.
const DISK_FULL: &str = "53100";

/// The state of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckStatus {
    /// As it should be.
    Ok,
    /// Requests fail because of it.
    Failing,
}

/// One health check.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Check {
    status: CheckStatus,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Seconds since the oldest event that is not folded yet was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

impl Check {
    fn of(result: Result<(), String>) -> Self {
        let status = if result.is_ok() { CheckStatus::Ok } else { CheckStatus::Failing };
        Self { status, detail: result.err(), lag_seconds: None }
    }
}

/// Whether pushes and pulls work, check by check.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Readiness {
    /// `ready`, or `unready` if a check fails.
    pub(crate) status: &'static str,
    /// The checks by name: `database`, `appends`, `catalog`, `projector`, `disk`.
    checks: BTreeMap<&'static str, Check>,
}

impl Gateway {
    /// What the database says of itself; `None` if it says nothing in time.
    pub(crate) async fn database_report(self: &Arc<Self>) -> Option<DatabaseReport> {
        let gateway = Arc::clone(self);
        let work = async move {
            let since = UnixMs(gateway.runtime.clock.now().0 - ACTIVE_AGE_MS_MAX);
            DatabaseReport {
                lagging: gateway.health_store.lagging().await.map_err(|error| error.to_string()),
                active_devices: gateway.health_store.active_devices(since).await.ok(),
                catalog: catalog_of(&gateway.health_store).await,
            }
        };
        self.database_reports.run(&self.tasks, PROBE_TIMEOUT, work).await
    }

    /// Checks whether pushes and pulls work. Takes at most [`PROBE_TIMEOUT`].
    pub(crate) async fn readiness(self: &Arc<Self>) -> Readiness {
        let report = self.database_report().await;
        let silent = || format!("the database did not respond within {} ms", PROBE_TIMEOUT.as_millis());
        let unknown = || Err("not known, since the database did not respond".to_owned());
        let (database, catalog, projector) = match report {
            None => (Err(silent()), unknown(), Check::of(Ok(()))),
            Some(DatabaseReport { lagging: Err(error), .. }) => {
                tracing::warn!(error, "the database is unavailable");
                (Err("the database is unavailable".to_owned()), unknown(), Check::of(Ok(())))
            }
            Some(DatabaseReport { lagging: Ok(lagging), catalog, .. }) => {
                let lag_seconds = Some(lag_seconds(&lagging, self.runtime.clock.now()));
                (Ok(()), catalog, Check { lag_seconds, ..Check::of(Ok(())) })
            }
        };
        let failure = self.appender.health.failure();
        let disk = self.disk(failure.as_deref());
        let appends = match (self.appender.is_alive(), failure) {
            (false, _) => Err("an append worker has ended: restart the server".to_owned()),
            (true, Some(_)) => Err("the last push could not be stored".to_owned()),
            (true, None) => Ok(()),
        };
        let checks = BTreeMap::from([
            ("database", Check::of(database)),
            ("appends", Check::of(appends)),
            ("catalog", Check::of(catalog)),
            ("projector", projector),
            ("disk", Check::of(disk)),
        ]);
        let is_ready = checks.values().all(|check| check.status == CheckStatus::Ok);
        Readiness { status: if is_ready { "ready" } else { "unready" }, checks }
    }

    /// Whether the database can still write: by the disk of an embedded Postgres, and by what the last append was told.
    fn disk(&self, append_error: Option<&str>) -> Result<(), String> {
        if append_error.is_some_and(|error| error.contains(DISK_FULL)) {
            return Err("no space left on the disk of the database".to_owned());
        }
        let Some(free) = self.data_dir.as_ref().and_then(free_bytes) else { return Ok(()) };
        if free < FREE_DISK_BYTES_MIN {
            return Err(format!("{} MiB left on the disk of the database", free / (1024 * 1024)));
        }
        Ok(())
    }
}

/// Whether a catalog is in force.
async fn catalog_of(store: &Store) -> Result<(), String> {
    match store.catalog_in_force().await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("no catalog is in force yet".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "the catalog cannot be read");
            Err("the catalog cannot be read".to_owned())
        }
    }
}

fn free_bytes(dir: &PathBuf) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}
