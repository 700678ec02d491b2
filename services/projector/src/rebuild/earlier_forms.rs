//! Rebuilds, while the server runs, the records that an earlier version has folded by other rules.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::Generations;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::RebuildError;
use crate::projector::Projector;
use crate::rebuild::progress::RebuildProgress;

/// How often to look for such records: at the start, and then because a server of the earlier version may still run beside
/// this one.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Pause while another process builds generations, and after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

impl Projector {
    /// Rebuilds the records of earlier forms until `stop` becomes true or its sender is dropped. Readers see the records as
    /// they were until then; pushes are stored, and folded once the records are rebuilt.
    pub(crate) async fn keep_forms_current(self, mut stop: watch::Receiver<bool>) {
        let rebuild = async {
            loop {
                let pause = match self.rebuild_earlier_forms().await {
                    Ok(pause) => pause,
                    Err(error) => {
                        tracing::warn!(%error, "cannot rebuild the records of an earlier version; trying again");
                        RETRY_PAUSE
                    }
                };
                sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = rebuild => {}
        }
    }

    /// Rebuilds the records of earlier forms, one workspace after the other, and drops the generations that they replace: no
    /// version that may run on this schema could go on with them. Returns how long to wait before the next look.
    async fn rebuild_earlier_forms(&self) -> Result<Duration, RebuildError> {
        let workspaces = self.store.workspaces_of_earlier_forms().await?;
        if workspaces.is_empty() {
            return Ok(POLL_INTERVAL);
        }
        let Some(lock) = self.store.lock_rebuilds().await? else { return Ok(RETRY_PAUSE) };
        tracing::info!(workspaces = workspaces.len(), "rebuilding the records that an earlier version has folded");
        for workspace in workspaces {
            self.drop_kept(workspace).await?;
            self.rebuild(&[workspace], &Arc::new(RebuildProgress::default())).await?;
            self.drop_kept(workspace).await?;
        }
        lock.release().await?;
        tracing::info!("the records that an earlier version has folded are rebuilt");
        Ok(POLL_INTERVAL)
    }

    async fn drop_kept(&self, workspace: WorkspaceId) -> Result<(), RebuildError> {
        let generations = self.store.generations(Some(workspace)).await?;
        let kept: Vec<_> = generations.iter().filter_map(Generations::kept).collect();
        Ok(self.store.drop_generations(&kept).await?)
    }
}
