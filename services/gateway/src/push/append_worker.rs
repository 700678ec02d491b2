//! A task that appends queued pushes to the log.
//!
//! Appends run apart from the requests, so a client that hangs up never cancels an append half way. Pushes that arrive while a
//! transaction is in flight go into the next one together (group commit); no timer is needed for that. While commits are slow,
//! several groups are under way: one is written, and the others wait for their commits (docs/adr/0032).

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{AppendStatus, Appended, Store, StoreError, Wakeups};
use tokio::sync::{Semaphore, mpsc};

use crate::monitoring::append_health::AppendHealth;
use crate::monitoring::metrics::GatewayMetrics;
use crate::push::commit_pace::CommitPace;
use crate::push::group::{Group, PendingPush, Reply, split_off_group};
use crate::push::group_turn::{FinishedGroup, Outcomes, WritingTurn};
use crate::runtime::Clock;

/// How many pushes one worker's queue holds. The worker holds at most as many again that it has taken and not appended. If
/// the queue is full, `Appender::append` refuses a push as unavailable.
pub(crate) const QUEUED_PUSHES_MAX: usize = 512;

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
    /// How many groups the worker may have under way while commits are slow, each on a connection of its own.
    pub(crate) groups_max: usize,
}

impl AppendWorker {
    /// Appends pushes until the queue is closed.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<(PendingPush, Reply)>) {
        let (mut backlog, mut pace, mut outcomes) = (Backlog::default(), CommitPace::default(), Outcomes::new());
        // The permit belongs to the group that Postgres is writing.
        let (mut under_way, writing) = (FuturesUnordered::new(), Arc::new(Semaphore::new(1)));
        loop {
            backlog.take_all(&mut queue);
            let has_room = under_way.len() < pace.groups(self.groups_max);
            if has_room
                && backlog.can_start()
                && let Ok(turn) = Arc::clone(&writing).try_acquire_owned()
            {
                let turn = WritingTurn::begin(turn, pace.measures_next());
                under_way.push(self.append(backlog.start_group(self.group_workspaces), turn));
                // Polled once, so that Postgres has the next group before the outcomes of the last one are sent.
                if let Some(Some(finished)) = under_way.next().now_or_never() {
                    outcomes.extend(backlog.finish(finished, &mut pace));
                }
            }
            outcomes.drain(..).for_each(|(push, reply, appended)| self.reply(&push, reply, appended));
            // A push that arrives while no group can start waits in the queue: to be woken by each would cost more than
            // all else that is done for it.
            let has_room = under_way.len() < pace.groups(self.groups_max);
            let is_writing = writing.available_permits() == 0;
            if has_room && !is_writing && backlog.can_start() {
                continue; // The group has failed at once.
            }
            tokio::select! {
                biased;
                Some(finished) = under_way.next() => outcomes = backlog.finish(finished, &mut pace),
                _ = writing.acquire(), if has_room && is_writing => {}
                next = queue.recv(), if has_room && !is_writing && backlog.takes_more() => backlog.take(next),
                else => return,
            }
        }
    }

    /// Sends the outcome of a push to its request, and wakes up the tasks that wait for its events.
    pub(super) fn reply(&self, push: &PendingPush, reply: Reply, appended: Result<Appended, StoreError>) {
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

/// What a worker has taken from its queue.
#[derive(Default)]
struct Backlog {
    /// Pushes that are in no group yet.
    waiting: Group,
    /// Workspaces of the groups that are under way. Their further pushes wait here: in a group they would wait for the same
    /// head row, on a connection.
    busy: HashSet<WorkspaceId>,
    /// Whether no further push will come.
    is_closed: bool,
}

impl Backlog {
    /// Takes the pushes that have arrived.
    fn take_all(&mut self, queue: &mut mpsc::Receiver<(PendingPush, Reply)>) {
        while self.waiting.len() < QUEUED_PUSHES_MAX
            && let Ok(next) = queue.try_recv()
        {
            self.waiting.push(next);
        }
    }

    /// Takes what the queue has returned.
    fn take(&mut self, next: Option<(PendingPush, Reply)>) {
        self.is_closed = next.is_none();
        self.waiting.extend(next);
    }

    fn takes_more(&self) -> bool {
        !self.is_closed && self.waiting.len() < QUEUED_PUSHES_MAX
    }

    fn can_start(&self) -> bool {
        self.waiting.iter().any(|(push, _)| !self.busy.contains(&push.workspace))
    }

    /// The next group, whose workspaces are busy until it is finished.
    fn start_group(&mut self, group_workspaces: bool) -> Group {
        let (mut group, rest) = split_off_group(std::mem::take(&mut self.waiting), group_workspaces, &self.busy);
        // `Store::append` requires the workspaces in id order, so that two groups never wait for each other's head
        // rows. The sort is stable: pushes to one workspace stay in order.
        group.sort_by_key(|(push, _)| push.workspace);
        self.waiting = rest;
        self.busy.extend(group.iter().map(|(push, _)| push.workspace));
        group
    }

    /// Notes that a group is no longer under way. Returns the outcomes that are not sent yet.
    fn finish(&mut self, finished: FinishedGroup, pace: &mut CommitPace) -> Outcomes {
        self.busy.retain(|workspace| !finished.workspaces.contains(workspace));
        finished.sample.into_iter().for_each(|sample| pace.note(sample));
        finished.outcomes
    }
}
