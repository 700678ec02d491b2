//! What `/health/ready` and `/metrics` say of the database and of pushes, within a second whatever the database does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tidelog_core::time::UnixMs;
use tidelog_postgres::{LaggingWorkspace, LockExt, StoreError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::gateway::Gateway;
use crate::presence::ACTIVE_AGE_MS_MAX;

/// How long a check of health waits for the database.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a failed append counts against the health of pushes. If a load balancer keeps pushes away after a failure, this
/// is when it tries again.
const APPEND_FAILURE_AGE_MAX: Duration = Duration::from_secs(30);
/// Free bytes of the disk below which pushes are about to fail.
const FREE_DISK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// The SQLSTATE of a full disk.
const DISK_FULL: &str = "53100";

/// Work that runs once at a time, for all who ask for it meanwhile. It goes on when those who asked have given up.
pub(crate) struct SingleFlight<T> {
    is_running: AtomicBool,
    results: watch::Sender<Option<T>>,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { is_running: AtomicBool::new(false), results: watch::Sender::new(None) })
    }

    /// The next result, of work that runs already or is started now. `None` if it does not come in time.
    pub(crate) async fn run(
        self: &Arc<Self>,
        tasks: &Handle,
        time_max: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut results = self.results.subscribe();
        if !self.is_running.swap(true, Ordering::AcqRel) {
            let flight = Arc::clone(self);
            tasks.spawn(async move {
                let result = work.await;
                flight.is_running.store(false, Ordering::Release);
                flight.results.send_replace(Some(result));
            });
        }
        timeout(time_max, results.changed()).await.ok()?.ok()?;
        results.borrow_and_update().clone()
    }
}

/// What the database says of itself.
#[derive(Clone)]
pub(crate) struct DatabaseReport {
    /// Workspaces whose logs are not folded to their ends, or why that is not known.
    pub(crate) lagging: Result<Vec<LaggingWorkspace>, String>,
    /// Devices heard of lately.
    pub(crate) active_devices: Option<i64>,
    /// Why there is no catalog, if there is none.
    pub(crate) catalog: Result<(), String>,
}

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

/// How the latest appends went.
#[derive(Clone, Default)]
pub(crate) struct AppendHealth(Arc<Mutex<Option<AppendFailure>>>);

struct AppendFailure {
    at: Instant,
    error: String,
}

impl AppendHealth {
    /// Notes the outcome of an append.
    pub(crate) fn note<T>(&self, appended: &Result<T, StoreError>) {
        let mut failure = self.0.lock_unpoisoned();
        match appended {
            Ok(_) => *failure = None,
            Err(error) => *failure = Some(AppendFailure { at: Instant::now(), error: error.to_string() }),
        }
    }

    /// The error of the last append, if it failed and is not long ago.
    fn failure(&self) -> Option<String> {
        let failure = self.0.lock_unpoisoned();
        let recent = failure.as_ref().filter(|failure| failure.at.elapsed() < APPEND_FAILURE_AGE_MAX);
        recent.map(|failure| failure.error.clone())
    }
}

impl Gateway {
    /// What the database says of itself; `None` if it says nothing in time.
    pub(crate) async fn database_report(self: &Arc<Self>) -> Option<DatabaseReport> {
        let gateway = Arc::clone(self);
        let work = async move {
            let since = UnixMs(gateway.runtime.clock.now().0 - ACTIVE_AGE_MS_MAX);
            DatabaseReport {
                lagging: gateway.store.lagging().await.map_err(|error| error.to_string()),
                active_devices: gateway.store.active_devices(since).await.ok(),
                catalog: gateway.catalogs.current().await.map(drop).map_err(|error| error.detail),
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

/// Seconds since the oldest event that is not folded yet was stored.
pub(crate) fn lag_seconds(lagging: &[LaggingWorkspace], now: UnixMs) -> f64 {
    let oldest_ms = lagging.iter().map(|lag| now.0 - lag.waiting_since.0).max().unwrap_or(0);
    oldest_ms.max(0) as f64 / 1_000.0
}

fn free_bytes(dir: &PathBuf) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_not_started_again_and_its_result_is_for_all() {
        let flight = SingleFlight::<u32>::new();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let hanging = async move {
            let _ = released.await;
            7
        };
        let short = Duration::from_millis(20);
        assert_eq!(flight.run(&Handle::current(), short, hanging).await, None);
        assert_eq!(flight.run(&Handle::current(), short, async { unreachable!("one at a time") }).await, None);
        let (other, long) = (Arc::clone(&flight), Duration::from_secs(10));
        let waiting = tokio::spawn(async move { other.run(&Handle::current(), long, async { 8 }).await });
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), Some(7));
        assert_eq!(flight.run(&Handle::current(), long, async { 9 }).await, Some(9));
    }
}
