//! The loop around the step.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{Hub, Store};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::metrics::ProjectorMetrics;
use crate::queue::Queue;
use crate::step::{Progress, RECORDS_BYTES_MAX, StepError};

/// How often the loop looks for itself, whatever hints come: a hint may be lost with the process that had it.
const POLL: Duration = Duration::from_secs(1);
/// How long a workspace that another projector holds is left alone: about as long as a step may take.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How long a workspace whose step failed is left alone.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Folds logs into records. Any number of them share the work: a checkpoint is held by one at a time.
pub struct Projector {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: ProjectorMetrics,
    pub(crate) records_bytes_max: i64,
}

/// When a workspace is due again after a step.
enum Again {
    /// When somebody says that it has grown.
    WhenHinted,
    /// When all others that wait have had their turn.
    NextTurn,
    /// After a while.
    After(Duration),
}

impl Projector {
    /// A projector over a database.
    pub fn new(store: Store, hub: Arc<Hub>, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = ProjectorMetrics::register(registry)?;
        Ok(Self { store, hub, metrics, records_bytes_max: RECORDS_BYTES_MAX })
    }

    /// The same with another bound on what the records of one step weigh as they are stored, in bytes.
    pub fn with_records_bytes_max(self, records_bytes_max: i64) -> Self {
        Self { records_bytes_max, ..self }
    }

    /// Folds what there is to fold until `stop` says so; the step at hand is finished first.
    ///
    /// The workspaces take turns of one step, so that a long backlog of one keeps no other waiting.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut queue = Queue::default();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow_and_update() {
            tokio::select! {
                // The first that is ready, in this order: a flood of hints delays neither the stop nor the poll.
                biased;
                changed = stop.changed() => match changed {
                    Ok(()) => continue,
                    // Whoever could say so is gone.
                    Err(_) => return,
                },
                _ = poll.tick() => self.look(&mut queue).await,
                hinted = self.hub.take_unfolded(POLL) => {
                    for (workspace, request_id) in hinted {
                        queue.add(workspace, request_id);
                    }
                }
                () = turn_comes(&queue) => {}
            }
            let Some((workspace, request_id)) = queue.next(Instant::now()) else { continue };
            match self.turn(workspace, &request_id).await {
                Again::WhenHinted => {}
                Again::NextTurn => queue.add(workspace, request_id),
                Again::After(pause) => queue.put_off(workspace, request_id, Instant::now() + pause),
            }
        }
    }

    /// Adds the workspaces that have something to fold, found without a hint.
    async fn look(&self, queue: &mut Queue) {
        match self.store.lagging().await {
            Ok(lagging) => lagging.into_iter().for_each(|lag| queue.add(lag.workspace, String::new())),
            Err(error) => tracing::warn!(%error, "cannot look for logs to fold; trying again"),
        }
    }

    /// One step of a workspace, and when it is due again.
    async fn turn(&self, workspace: WorkspaceId, request_id: &str) -> Again {
        match self.step(workspace).await {
            Ok(Progress::Folded { position, head }) => {
                tracing::debug!(request_id, log.position = position.0, log.head = head.0, "folded");
                if position < head { Again::NextTurn } else { Again::WhenHinted }
            }
            Ok(Progress::Idle) => Again::WhenHinted,
            Ok(Progress::Busy) => Again::After(BUSY_PAUSE),
            Err(error) => {
                self.metrics.step_failures.with_label_values::<&str>(&[]).inc();
                tracing::error!(%error, request_id, "a step failed; trying again");
                match error {
                    // If it ever comes back, the poll finds it.
                    StepError::NoWorkspace(_) => Again::WhenHinted,
                    StepError::Store(_) => Again::After(FAILED_PAUSE),
                }
            }
        }
    }
}

/// Waits until it is somebody's turn, not at all if somebody waits for it.
async fn turn_comes(queue: &Queue) {
    let now = Instant::now();
    match queue.next_at(now) {
        Some(at) if at <= now => {}
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
