//! The projector on threads and connections of its own: it has as much to do as there is, and who pushes must not stand in
//! a row behind it.

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

/// How long the step at hand may take when the server stops.
const STEP_WITHIN: Duration = Duration::from_secs(30);

/// A projector that runs. Dropped, it is cut short.
pub(crate) struct ProjectorHandle {
    _threads: Threads,
    task: JoinHandle<()>,
}

/// A runtime that may be dropped in async code.
struct Threads(Option<Runtime>);

impl ProjectorHandle {
    /// How many connections a projector takes of the server's: two a worker, fewer workers where they would take over half.
    pub(crate) fn connections(config: &ServerConfig) -> usize {
        if config.roles.projector { 2 * workers(config) } else { 0 }
    }

    /// Runs a projector until `stopping` says so.
    pub(crate) fn start(
        config: &ServerConfig,
        wakeups: Arc<Wakeups>,
        registry: &Registry,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, ServerError> {
        let workers = workers(config);
        // Half of the processors, so that folding alone leaves the rest to the others.
        let threads = (available_parallelism().map_or(1, usize::from) / 2).clamp(1, workers);
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("projector").enable_all().build();
        let threads = Threads(Some(runtime.map_err(ServerError::Threads)?));
        let store = StoreConfig { url: config.database_url.clone(), pool_size: Self::connections(config) };
        // Its connections too are driven there.
        let store = threads.within(|| Store::new(&store))?;
        let projector = Projector::new(store, wakeups, registry)?;
        let projector = projector.with_workers(workers).with_resolvers(config.resolvers.clone());
        let task = threads.within(|| tokio::spawn(async move { projector.run(stopping).await }));
        Ok(Self { _threads: threads, task })
    }

    /// Waits for the steps at hand, which are the last ones.
    pub(crate) async fn end(mut self) {
        if timeout(STEP_WITHIN, &mut self.task).await.is_err() {
            tracing::warn!("the projector's step was cut short; it is done again at the next start");
        }
    }
}

impl Threads {
    /// Does something that belongs to this runtime.
    fn within<T>(&self, something: impl FnOnce() -> T) -> T {
        // There until it is dropped.
        let _entered = self.0.as_ref().map(Runtime::enter);
        something()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn workers(config: &ServerConfig) -> usize {
    config.projector_workers.min(config.pool_size / 4).max(1)
}
