//! What the database says of itself, asked once for all who want to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidelog_core::time::UnixMs;
use tidelog_postgres::LaggingWorkspace;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

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

/// Seconds since the oldest event that is not folded yet was stored.
pub(crate) fn lag_seconds(lagging: &[LaggingWorkspace], now: UnixMs) -> f64 {
    let oldest_ms = lagging.iter().map(|lag| now.0 - lag.waiting_since.0).max().unwrap_or(0);
    oldest_ms.max(0) as f64 / 1_000.0
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
