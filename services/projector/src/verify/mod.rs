//! Checks that what is stored is right: the log in itself (LOG-3), and records, verdicts, conflicts, histories and digests
//! against a fold of the log (FOLD-1).

pub(crate) mod compare;
pub(crate) mod log;
pub(crate) mod replay;
pub(crate) mod report;

use std::collections::BTreeMap;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{Checkpoint, StoreError};

use crate::error::StepError;
use crate::projector::Projector;
use crate::verify::report::{Faults, VerifyReport};

impl Projector {
    /// Verifies a workspace: its log, and everything that the projector has stored of it up to the live checkpoint. Only
    /// reads. It holds all records and conflicts of the workspace in memory.
    pub async fn verify(&self, workspace: WorkspaceId) -> Result<VerifyReport, StepError> {
        let mut faults = Faults::default();
        let head = self.store.head(workspace, Position::START).await?.ok_or(StepError::NoWorkspace(workspace))?.head;
        self.verify_log(workspace, head, &mut faults).await?;
        loop {
            let checkpoint = self.store.checkpoint(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
            if !checkpoint.is_foldable() {
                return Err(StepError::EarlierForm(workspace));
            }
            let mut replay = self.replay(workspace, checkpoint.refold_position).await?;
            // Most of the log is folded before the snapshot is taken, which may idle for 10 seconds only.
            let replayed = self.replay_to(&mut replay, checkpoint.position).await;
            let mut connection = self.store.snapshot_connection().await?;
            let snapshot = connection.snapshot(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
            let stored = snapshot.checkpoint;
            if stored.generation != checkpoint.generation || stored.refold_position != checkpoint.refold_position {
                // A rebuild has swapped generations meanwhile, so the replay is of the wrong one.
                continue;
            }
            let replayed = match replayed {
                // The events that the projector has folded meanwhile.
                Ok(()) => self.replay_to(&mut replay, stored.position).await,
                failed => failed,
            };
            self.verify_checkpoint(workspace, stored, &mut faults).await?;
            let (generation, position) = (stored.generation, stored.position);
            let mut report = VerifyReport { workspace, generation, position, head, tables: BTreeMap::new(), faults };
            match replayed {
                Ok(()) => report.compare(&replay, &snapshot).await?,
                Err(StepError::Store(StoreError::Corrupt(what))) => {
                    report.faults.add(|| format!("the log cannot be folded: {what}"));
                }
                Err(error) => return Err(error),
            }
            return Ok(report);
        }
    }

    /// Checks the catalog that a checkpoint names, and that it is not after the end of the log.
    async fn verify_checkpoint(
        &self,
        workspace: WorkspaceId,
        stored: Checkpoint,
        faults: &mut Faults,
    ) -> Result<(), StoreError> {
        let catalogs = self.store.catalog_positions(workspace, stored.position).await?;
        let in_force =
            catalogs.iter().map(|(position, _)| *position).filter(|position| *position >= stored.refold_position).max();
        let named = stored.catalog_position;
        if in_force.unwrap_or(Position::START) != named {
            faults
                .add(|| format!("the checkpoint names the event at {named} as the catalog in force, which it is not"));
        }
        let end = self.store.head(workspace, Position::START).await?.map_or(Position::START, |log| log.head);
        if stored.position > end {
            faults.add(|| {
                format!("the records are folded to position {}, after the end of the log at {end}", stored.position)
            });
        }
        Ok(())
    }
}
