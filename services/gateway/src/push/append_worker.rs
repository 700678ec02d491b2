//! A task that appends queued pushes to the log.
//!
//! Appends run apart from the requests, so a client that hangs up never cancels an append half way. Pushes that arrive while a
//! transaction is in flight go into the next one together (group commit); no timer is needed for that.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidelog_postgres::{AppendStatus, Appended, Store, StoreError, Wakeups};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::monitoring::append_health::AppendHealth;
use crate::monitoring::metrics::GatewayMetrics;
use crate::push::group::{Group, PendingPush, Reply, split_off_group};
use crate::runtime::Clock;

/// How many pushes one worker's queue holds. The worker holds at most as many again that it has taken and not appended. If
/// the queue is full, `Appender::append` refuses a push as unavailable.
pub(crate) const QUEUED_PUSHES_MAX: usize = 512;
/// How often a push is sent by itself while its outcome is unknown, the first time included. Repeating it is safe: the push is
/// stored once, whatever happened (LOG-1).
const COMMIT_ATTEMPTS_MAX: u32 = 4;
/// Delay before the first repetition of an append. It doubles with each further one.
const COMMIT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Backstop only, above all timeouts of `Store::append`, which ends by itself: a group that takes so long is tried push by
/// push.
const GROUP_TIMEOUT: Duration = Duration::from_secs(40);

/// An append worker: takes pushes from its queue, appends them in groups and sends the outcome of each to its request.
#[derive(Clone)]
pub(crate) struct AppendWorker {
    pub(crate) store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) health: AppendHealth,
    /// Whether one transaction may append to several workspaces. Off under Citus, where that is a two-phase commit.
    pub(crate) group_workspaces: bool,
}

/// The result of appending a group in one transaction.
enum GroupOutcome {
    /// The outcome of each push, in the order of the group.
    Appended(Vec<Appended>),
    /// Nothing is stored: the transaction failed, or was not tried. If `is_commit_unknown`, it may be stored all the same.
    NotAppended { is_commit_unknown: bool },
}

impl AppendWorker {
    /// Appends pushes until the queue is closed.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<(PendingPush, Reply)>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                match queue.recv().await {
                    Some(first) => waiting.push(first),
                    None => return,
                }
            }
            while waiting.len() < QUEUED_PUSHES_MAX {
                let Ok(next) = queue.try_recv() else { break };
                waiting.push(next);
            }
            let (mut group, rest) = split_off_group(std::mem::take(&mut waiting), self.group_workspaces);
            // `Store::append` requires the workspaces in id order, so that two groups never wait for each other's head
            // rows. The sort is stable: pushes to one workspace stay in order.
            group.sort_by_key(|(push, _)| push.workspace);
            waiting = rest;
            self.append(group).await;
        }
    }

    /// Appends a group in one transaction. A lone push, and a group whose transaction fails, is appended push by push.
    async fn append(&self, group: Group) {
        self.metrics.group_pushes.observe(group.len() as f64);
        let ops: usize = group.iter().map(|(push, _)| push.batch.ops.len()).sum();
        self.metrics.group_ops.observe(ops as f64);
        let outcome = match group.as_slice() {
            [_] => GroupOutcome::NotAppended { is_commit_unknown: false },
            _ => timeout(GROUP_TIMEOUT, self.append_group(&group))
                .await
                .unwrap_or(GroupOutcome::NotAppended { is_commit_unknown: true }),
        };
        match outcome {
            GroupOutcome::Appended(all) => {
                for ((push, reply), appended) in group.into_iter().zip(all) {
                    self.reply(&push, reply, Ok(appended));
                }
            }
            GroupOutcome::NotAppended { is_commit_unknown } => self.append_one_by_one(group, is_commit_unknown).await,
        }
    }

    async fn append_group(&self, group: &[(PendingPush, Reply)]) -> GroupOutcome {
        let Some((first, _)) = group.first() else { return GroupOutcome::Appended(Vec::new()) };
        // `split_off_group` takes only pushes that were judged under the same catalog.
        let catalog = first.catalog;
        let batches: Vec<_> = group.iter().map(|(push, _)| (push.workspace, push.batch.as_ref())).collect();
        match self.store.append(self.clock.now(), catalog, &batches).await {
            Ok(appended) if appended.len() == group.len() => GroupOutcome::Appended(appended),
            Ok(_) => {
                // Cannot happen: the statement returns a row for each batch. What was stored is then not known.
                tracing::warn!(pushes = group.len(), "an append returned another number of outcomes than pushes");
                GroupOutcome::NotAppended { is_commit_unknown: true }
            }
            Err(error) => {
                tracing::warn!(%error, pushes = group.len(), "a group append failed, its pushes are tried one by one");
                GroupOutcome::NotAppended { is_commit_unknown: matches!(error, StoreError::CommitUnknown(_)) }
            }
        }
    }

    /// Appends each push by itself, so that one that fails does not take its neighbours with it.
    ///
    /// Each try of a locked head row, or of a database that is gone, takes its whole timeout while the pushes behind it wait.
    /// So a workspace that was found locked is not tried again, and after a database that was found gone no push is.
    async fn append_one_by_one(&self, group: Group, unknown: bool) {
        let (mut locked_workspaces, mut is_database_gone) = (HashSet::new(), false);
        for (push, reply) in group {
            let appended = match is_database_gone || locked_workspaces.contains(&push.workspace) {
                true if unknown => Err(StoreError::CommitUnknown("no response to the commit of its group".to_owned())),
                true => Err(StoreError::Unavailable(
                    "not tried: an earlier push found the database gone or this workspace locked".to_owned(),
                )),
                false => self.append_alone(&push, unknown).await,
            };
            match &appended {
                Err(StoreError::Locked(_)) => drop(locked_workspaces.insert(push.workspace)),
                // After so many attempts with an unknown outcome the database counts as gone.
                Err(StoreError::Unavailable(_) | StoreError::CommitUnknown(_)) => is_database_gone = true,
                Err(StoreError::Corrupt(_) | StoreError::Database(_)) | Ok(_) => {}
            }
            self.reply(&push, reply, appended);
        }
    }

    /// Appends one push. Once the outcome of a commit is unknown, the append is repeated until it succeeds: no error of a later
    /// attempt says what became of the earlier commit. After the last attempt the error is `CommitUnknown`.
    async fn append_alone(&self, push: &PendingPush, mut unknown: bool) -> Result<Appended, StoreError> {
        let (mut attempt, mut delay) = (1, COMMIT_RETRY_DELAY);
        loop {
            let (now, batch) = (self.clock.now(), [(push.workspace, push.batch.as_ref())]);
            let error = match self.store.append(now, push.catalog, &batch).await {
                Ok(mut appended) if appended.len() == 1 => return Ok(appended.remove(0)),
                Ok(_) => return Err(StoreError::Corrupt("an append of one batch has no outcome".to_owned())),
                Err(error) => error,
            };
            unknown |= matches!(error, StoreError::CommitUnknown(_));
            if !unknown {
                return Err(error);
            }
            if attempt == COMMIT_ATTEMPTS_MAX {
                return Err(StoreError::CommitUnknown(error.to_string()));
            }
            tracing::info!(%error, attempt, request_id = push.request_id, "the outcome of an append is unknown, it is sent again");
            tokio::time::sleep(delay).await;
            (attempt, delay) = (attempt + 1, delay * 2);
        }
    }

    fn reply(&self, push: &PendingPush, reply: Reply, appended: Result<Appended, StoreError>) {
        self.health.note(&appended);
        // A push that is refused stores nothing, so nobody has to be woken.
        if let Ok(appended @ Appended { status: AppendStatus::Appended { .. }, .. }) = &appended {
            let (ops, head) = (push.batch.ops.len(), appended.head.0);
            tracing::debug!(request_id = push.request_id, batch.ops = ops, log.head = head, "appended");
            self.wakeups.on_appended(push.workspace, appended.head, &push.request_id);
        }
        // A client that hung up will push again, and the log will recognize the ops.
        let _ = reply.send(appended);
    }
}
