//! Runs the projector on threads and connections of its own. Folding can take all the time there is, and pushes must not
//! queue behind it.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use prometheus::Registry;
use tidelog_postgres::{Store, StoreConfig, Wakeups};
use tidelog_projector::Projector;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::ServerConfig;
use crate::error::ServerError;

/// Connections beside those of the workers, open only while the records of an earlier version are rebuilt: for the lock, to
/// write, to read and to swap.
const REBUILD_CONNECTIONS: usize = 4;
/// How long the steps under way may take when the server stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// A running projector. Dropping it aborts the steps under way; what they folded is not stored, and is folded at the next
/// start.
pub(crate) struct ProjectorHandle {
    _runtime: OwnedRuntime,
    task: JoinHandle<()>,
}

/// A tokio runtime that may be dropped in async code, which a plain one may not.
struct OwnedRuntime(Option<Runtime>);

impl ProjectorHandle {
    /// How many of the server's connections the projector takes: two for each worker.
    pub(crate) fn connections(config: &ServerConfig) -> usize {
        if config.roles.projector { 2 * workers(config) } else { 0 }
    }

    /// Starts a projector that runs until `stop` becomes true.
    pub(crate) fn start(
        config: &ServerConfig,
        wakeups: Arc<Wakeups>,
        registry: &Registry,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, ServerError> {
        let workers = workers(config);
        // Half of the processors, so that folding leaves the others to HTTP and Postgres.
        let threads = (available_parallelism().map_or(1, usize::from) / 2).clamp(1, workers);
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("projector").enable_all().build();
        let runtime = OwnedRuntime(Some(runtime.map_err(ServerError::Threads)?));
        let pool_size = Self::connections(config) + REBUILD_CONNECTIONS;
        let store = StoreConfig { url: config.database_url.clone(), pool_size };
        // Made within the runtime, which then drives its connections.
        let store = runtime.enter(|| Store::new(&store))?;
        let projector = Projector::new(store, wakeups, registry)?;
        let projector = projector.with_workers(workers).with_resolvers(config.resolvers.clone());
        let task = runtime.enter(|| tokio::spawn(async move { projector.run(stop).await }));
        Ok(Self { _runtime: runtime, task })
    }

    /// Waits until the projector has stopped, at most [`STOP_TIME_MAX`].
    pub(crate) async fn wait_stopped(mut self) {
        if timeout(STOP_TIME_MAX, &mut self.task).await.is_err() {
            tracing::warn!("the projector's step took too long and was aborted; it is repeated at the next start");
        }
    }
}

impl OwnedRuntime {
    /// Calls a function in the context of the runtime.
    fn enter<T>(&self, call: impl FnOnce() -> T) -> T {
        // `None` only while it is dropped.
        let _entered = self.0.as_ref().map(Runtime::enter);
        call()
    }
}

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The projector's workers: as configured, but no more than leave half of the pool to the gateway.
fn workers(config: &ServerConfig) -> usize {
    config.projector_workers.min(config.pool_size / 4).max(1)
}
