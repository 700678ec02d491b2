//! The queue of pushes in front of the log.

use std::hash::{BuildHasher, RandomState};

use prometheus::IntGauge;
use tidelog_postgres::Appended;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::http::error::ApiError;
use crate::push::append_worker::{AppendWorker, QUEUED_PUSHES_MAX};
use crate::push::group::{PendingPush, Reply, kib_of};

/// KiB of operations that may be queued for all workers together.
const QUEUED_KIB_MAX: usize = 256 * 1024;

/// The queue of pushes, sharded by workspace: all pushes of one go through the same append worker, so that two workers
/// never compete for its head row.
pub(crate) struct Appender {
    queues: Vec<mpsc::Sender<(PendingPush, Reply)>>,
    /// How many KiB may still be queued.
    free_kib: Semaphore,
    hasher: RandomState,
    waiting_gauge: IntGauge,
}

impl Appender {
    /// Starts `workers` clones of an append worker, at least one, each with its own queue.
    pub(crate) fn start(worker: AppendWorker, workers: usize, waiting_gauge: IntGauge) -> Self {
        let queues = (0..workers.max(1)).map(|_| {
            let (sender, receiver) = mpsc::channel(QUEUED_PUSHES_MAX);
            tokio::spawn(worker.clone().run(receiver));
            sender
        });
        Self {
            queues: queues.collect(),
            free_kib: Semaphore::new(QUEUED_KIB_MAX),
            hasher: RandomState::new(),
            waiting_gauge,
        }
    }

    /// Whether all append workers are running.
    pub(crate) fn is_alive(&self) -> bool {
        self.queues.iter().all(|queue| !queue.is_closed())
    }

    /// Appends a push. Returns once it is durable or known not to be stored.
    ///
    /// [`ApiError::unavailable`] if the queue is full: a client that comes back later is better served than one that waits
    /// in an endless queue.
    pub(crate) async fn append(&self, push: PendingPush) -> Result<Appended, ApiError> {
        let queue_full = || ApiError::unavailable("too many pushes are waiting, try again");
        let kib = u32::try_from(kib_of(&push.batch)).map_err(|_| queue_full())?;
        let _permit = self.free_kib.try_acquire_many(kib).map_err(|_| queue_full())?;
        let shard = self.hasher.hash_one(push.workspace) as usize % self.queues.len();
        let (reply, outcome) = oneshot::channel();
        self.queues[shard].try_send((push, reply)).map_err(|_| queue_full())?;
        self.waiting_gauge.inc();
        let outcome = outcome.await;
        self.waiting_gauge.dec();
        Ok(outcome.map_err(|_| ApiError::unavailable("the server is stopping"))??)
    }
}
