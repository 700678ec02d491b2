//! The appends, in tasks of their own: a client that hangs up never cancels one half way, and pushes that arrive while
//! a transaction is in flight go into the next one together (group commit), without a timer.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tidelog_postgres::{Appended, Store, StoreError, Wakeups};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::gateway::GatewayConfig;
use crate::http::error::ApiError;
use crate::metrics::GatewayMetrics;
use crate::push::group::{Group, PendingPush, Reply, kib_of, split_off_group};
use crate::runtime::Clock;

/// Pushes that may wait in one worker's queue, and as many again that it has looked at. More are told to come back: a
/// queue without an end helps nobody.
const WAITING_MAX: usize = 512;
/// KiB of operations that may wait in all workers together.
const WAITING_KIB_MAX: usize = 256 * 1024;
/// How often a statement whose answer was lost is sent again; it is stored once, whatever happened (LOG-1).
const COMMIT_ATTEMPTS: u32 = 4;
/// How long a group may go without an answer.
const GROUP_WITHIN: Duration = Duration::from_secs(30);
/// How long the first repetition waits; each later one waits twice as long.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);

/// Where pushes queue up. A workspace always goes through the same worker, so its head row is never fought over.
pub(crate) struct Appender {
    workers: Vec<mpsc::Sender<(PendingPush, Reply)>>,
    room_kib: Semaphore,
    hasher: RandomState,
    metrics: GatewayMetrics,
}

impl Appender {
    pub(crate) fn start(config: &GatewayConfig, metrics: &GatewayMetrics) -> Self {
        let workers = (0..config.append_workers.max(1)).map(|_| {
            let (sender, receiver) = mpsc::channel(WAITING_MAX);
            let worker = AppendWorker {
                store: config.store.clone(),
                wakeups: Arc::clone(&config.wakeups),
                clock: Arc::clone(&config.runtime.clock),
                metrics: metrics.clone(),
                group_workspaces: config.group_workspaces,
            };
            tokio::spawn(worker.run(receiver));
            sender
        });
        Self {
            workers: workers.collect(),
            room_kib: Semaphore::new(WAITING_KIB_MAX),
            hasher: RandomState::new(),
            metrics: metrics.clone(),
        }
    }

    /// Whether every worker still takes pushes.
    pub(crate) fn is_alive(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_closed())
    }

    /// Appends a push; its answer comes when it is durable, or known not to be stored.
    pub(crate) async fn append(&self, waiting: PendingPush) -> Result<Appended, ApiError> {
        let full = || ApiError::unavailable("more pushes wait than can be taken, try again");
        let kib = u32::try_from(kib_of(&waiting.batch)).map_err(|_| full())?;
        let _room = self.room_kib.try_acquire_many(kib).map_err(|_| full())?;
        let worker = self.hasher.hash_one(waiting.workspace) as usize % self.workers.len();
        let (reply, answer) = oneshot::channel();
        let gauge = &self.metrics.appends_waiting;
        self.workers[worker].try_send((waiting, reply)).map_err(|_| full())?;
        gauge.inc();
        let answer = answer.await;
        gauge.dec();
        Ok(answer.map_err(|_| ApiError::unavailable("the server is stopping"))??)
    }
}

/// What appending a group came to.
enum GroupOutcome {
    /// The answers, in the order of the group.
    Appended(Vec<Appended>),
    /// Something unexpected: nothing of it is stored, or that is not known.
    Failed { unknown: bool },
}

struct AppendWorker {
    store: Store,
    wakeups: Arc<Wakeups>,
    clock: Arc<dyn Clock>,
    metrics: GatewayMetrics,
    group_workspaces: bool,
}

impl AppendWorker {
    async fn run(self, mut queue: mpsc::Receiver<(PendingPush, Reply)>) {
        let mut left_over = Vec::new();
        loop {
            if left_over.is_empty() {
                match queue.recv().await {
                    Some(first) => left_over.push(first),
                    None => return,
                }
            }
            while left_over.len() < WAITING_MAX {
                let Ok(next) = queue.try_recv() else { break };
                left_over.push(next);
            }
            let (mut group, rest) = split_off_group(std::mem::take(&mut left_over), self.group_workspaces);
            // The log wants the workspaces in order; the pushes of one keep theirs.
            group.sort_by_key(|(waiting, _)| waiting.workspace);
            left_over = rest;
            self.append(group).await;
        }
    }

    async fn append(&self, group: Group) {
        self.metrics.group_pushes.observe(group.len() as f64);
        let ops: usize = group.iter().map(|(waiting, _)| waiting.batch.ops.len()).sum();
        self.metrics.group_ops.observe(ops as f64);
        let together = match group.as_slice() {
            [_] => GroupOutcome::Failed { unknown: false },
            _ => timeout(GROUP_WITHIN, self.append_together(&group))
                .await
                .unwrap_or(GroupOutcome::Failed { unknown: true }),
        };
        let unknown = match together {
            GroupOutcome::Appended(answers) => {
                for ((waiting, reply), appended) in group.into_iter().zip(answers) {
                    self.answer(&waiting, reply, Ok(appended));
                }
                return;
            }
            GroupOutcome::Failed { unknown } => unknown,
        };
        // One by one: a push that fails must not take its neighbours with it. A workspace whose head row is held is not
        // waited for again by each of its pushes, and a database that is gone by none.
        let (mut held, mut is_gone) = (HashSet::new(), false);
        for (waiting, reply) in group {
            let appended = match is_gone || held.contains(&waiting.workspace) {
                true if unknown => Err(StoreError::CommitUnknown("its group's commit was lost".to_owned())),
                true => Err(StoreError::Unavailable("it was not tried after others had failed".to_owned())),
                false => self.append_alone(&waiting, unknown).await,
            };
            match &appended {
                Err(StoreError::Locked(_)) => drop(held.insert(waiting.workspace)),
                Err(StoreError::Unavailable(_) | StoreError::CommitUnknown(_)) => is_gone = true,
                Err(StoreError::Corrupt(_) | StoreError::Database(_)) | Ok(_) => {}
            }
            self.answer(&waiting, reply, appended);
        }
    }

    async fn append_together(&self, group: &[(PendingPush, Reply)]) -> GroupOutcome {
        let Some((first, _)) = group.first() else { return GroupOutcome::Appended(Vec::new()) };
        let catalog = first.catalog;
        let batches: Vec<_> = group.iter().map(|(waiting, _)| (waiting.workspace, waiting.batch.as_ref())).collect();
        match self.store.append(self.clock.now(), catalog, &batches).await {
            Ok(appended) if appended.len() == group.len() => GroupOutcome::Appended(appended),
            Ok(_) => GroupOutcome::Failed { unknown: true },
            Err(error) => {
                tracing::warn!(%error, pushes = group.len(), "a group failed and runs one by one");
                GroupOutcome::Failed { unknown: matches!(error, StoreError::CommitUnknown(_)) }
            }
        }
    }

    /// Appends one push. Once the outcome of a commit is `unknown` it stays so until an attempt gets an answer: a later
    /// failure to connect says nothing of the earlier commit.
    async fn append_alone(&self, waiting: &PendingPush, mut unknown: bool) -> Result<Appended, StoreError> {
        let (mut attempt, mut pause) = (1, COMMIT_PAUSE);
        loop {
            let (now, batch) = (self.clock.now(), [(waiting.workspace, waiting.batch.as_ref())]);
            let error = match self.store.append(now, waiting.catalog, &batch).await {
                Ok(mut appended) if appended.len() == 1 => return Ok(appended.remove(0)),
                Ok(_) => return Err(StoreError::Corrupt("an append without an answer".to_owned())),
                Err(error) => error,
            };
            unknown |= matches!(error, StoreError::CommitUnknown(_));
            if !unknown {
                return Err(error);
            }
            if attempt == COMMIT_ATTEMPTS {
                return Err(StoreError::CommitUnknown(error.to_string()));
            }
            tracing::info!(%error, attempt, request_id = waiting.request_id, "an append runs again");
            tokio::time::sleep(pause).await;
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }

    fn answer(&self, waiting: &PendingPush, reply: Reply, appended: Result<Appended, StoreError>) {
        if let Ok(appended) = &appended {
            let (ops, head) = (waiting.batch.ops.len(), appended.head.0);
            tracing::debug!(request_id = waiting.request_id, batch.ops = ops, log.head = head, "appended");
            self.wakeups.appended(waiting.workspace, appended.head, &waiting.request_id);
        }
        // A caller that hung up will ask again; the log knows.
        let _ = reply.send(appended);
    }
}
