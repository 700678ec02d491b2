//! The loop around the step.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{Hub, Store};
use tokio::sync::watch;

use crate::metrics::ProjectorMetrics;
use crate::step::Progress;

/// How long the loop waits for a hint before it looks for itself.
const POLL: Duration = Duration::from_secs(1);

/// Folds logs into records. Any number of them share the work: a checkpoint is held by one at a time.
pub struct Projector {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: ProjectorMetrics,
}

impl Projector {
    /// A projector over a database.
    pub fn new(store: Store, hub: Arc<Hub>, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self { store, hub, metrics: ProjectorMetrics::register(registry)? })
    }

    /// Folds what there is to fold until `stop` says so; the step at hand is finished first.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let hinted = tokio::select! {
                hinted = self.hub.take_unfolded(POLL) => hinted,
                _ = stop.changed() => return,
            };
            let found = if hinted.is_empty() { self.lagging().await } else { hinted };
            for (workspace, request_id) in found {
                if *stop.borrow() {
                    return;
                }
                self.catch_up(workspace, &request_id).await;
            }
        }
    }

    /// The workspaces that have something to fold, found without a hint.
    async fn lagging(&self) -> HashMap<WorkspaceId, String> {
        match self.store.lagging().await {
            Ok(lagging) => lagging.into_iter().map(|lag| (lag.workspace, String::new())).collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot look for logs to fold; trying again");
                HashMap::new()
            }
        }
    }

    /// Steps until a workspace is folded up to its head, or cannot be now: the poll comes back to it.
    async fn catch_up(&self, workspace: WorkspaceId, request_id: &str) {
        loop {
            match self.step(workspace).await {
                Ok(Progress::Folded { position, head }) => {
                    tracing::debug!(request_id, log.position = position.0, log.head = head.0, "folded");
                    if position >= head {
                        return;
                    }
                }
                Ok(Progress::Idle | Progress::Busy) => return,
                Err(error) => {
                    self.metrics.step_failures.with_label_values::<&str>(&[]).inc();
                    tracing::error!(%error, request_id, "a step failed; trying again");
                    return;
                }
            }
        }
    }
}
