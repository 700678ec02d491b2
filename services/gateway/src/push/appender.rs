//! The queue of pushes in front of the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use tidelog_postgres::{Appended, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::http::error::ApiError;
use crate::limits::shares::{Exhausted, Owner, ShareLimits, Shares};
use crate::monitoring::append_health::AppendHealth;
use crate::push::append_worker::{AppendWorker, QUEUED_PUSHES_MAX};
use crate::push::device_turns::DeviceTurns;
use crate::push::group::{PendingPush, Reply, kib_of};

/// KiB of operations that may be queued for all workers together; half of them for one workspace, a quarter for one device.
const QUEUED_KIB_MAX: usize = 256 * 1024;

/// How long a push waits for its append, in the queue and in the database.
const APPEND_TIMEOUT: Duration = Duration::from_secs(25);

/// The queue of pushes, sharded by workspace: all pushes of one go through the same append worker, so that two workers
/// never compete for its head row.
pub(crate) struct Appender {
    queues: Vec<mpsc::Sender<(PendingPush, Reply)>>,
    /// Places in the queues. A workspace has half of them, so that one that floods the server is refused, not the others.
    places: Arc<Shares>,
    /// KiB of operations in the queues.
    kib: Arc<Shares>,
    turns: DeviceTurns,
    /// How the latest appends went.
    pub(crate) health: AppendHealth,
    hasher: RandomState,
    waiting_gauge: IntGauge,
}

impl Appender {
    /// Starts `workers` clones of an append worker, at least one, each with its own queue.
    pub(crate) fn start(worker: AppendWorker, workers: usize, health: AppendHealth, waiting_gauge: IntGauge) -> Self {
        let queues = (0..workers.max(1)).map(|_| {
            let (sender, receiver) = mpsc::channel(QUEUED_PUSHES_MAX);
            tokio::spawn(worker.clone().run(receiver));
            sender
        });
        let places = workers.max(1) * QUEUED_PUSHES_MAX;
        let places = ShareLimits { total: places, workspace: QUEUED_PUSHES_MAX / 2, caller: places };
        let kib = ShareLimits { total: QUEUED_KIB_MAX, workspace: QUEUED_KIB_MAX / 2, caller: QUEUED_KIB_MAX / 4 };
        Self {
            queues: queues.collect(),
            places: Shares::new(places),
            kib: Shares::new(kib),
            turns: DeviceTurns::default(),
            health,
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
        let owner = Owner { workspace: push.workspace, caller: push.batch.device.0 };
        let _turn = self.turns.take(push.workspace, push.batch.device).await?;
        let _place = self.places.take_one(owner).map_err(queue_full)?;
        let mut kib = self.kib.open(owner);
        kib.grow(kib_of(&push.batch)).map_err(queue_full)?;
        let shard = self.hasher.hash_one(push.workspace) as usize % self.queues.len();
        let (reply, outcome) = oneshot::channel();
        self.queues[shard].try_send((push, reply)).map_err(|_| queue_full(Exhausted::Total))?;
        self.waiting_gauge.inc();
        let outcome = timeout(APPEND_TIMEOUT, outcome).await;
        self.waiting_gauge.dec();
        // The worker goes on with it: whether it is stored shows when the client sends it again.
        let outcome = outcome.map_err(|_| StoreError::CommitUnknown("the append took too long".to_owned()))?;
        Ok(outcome.map_err(|_| ApiError::unavailable("the server is stopping"))??)
    }
}

fn queue_full(exhausted: Exhausted) -> ApiError {
    ApiError::unavailable(match exhausted {
        Exhausted::Caller => "the pushes of this device that are waiting are too large, try again",
        Exhausted::Workspace => "too many pushes of this workspace are waiting, try again",
        Exhausted::Total => "too many pushes are waiting, try again",
    })
}
