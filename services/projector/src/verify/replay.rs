//! A fold of a whole log in memory, with everything that the projector would have stored of it.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{Content, Folder, RecordKey, Side};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{StoreError, StoredConflictRow};

use crate::error::StepError;
use crate::projector::{Projector, STEP_LIMITS};

/// One workspace's log, folded up to some position. It holds every record and every conflict of the workspace.
pub(crate) struct Replay {
    pub(crate) workspace: WorkspaceId,
    /// The last event that is folded.
    pub(crate) position: Position,
    pub(crate) folder: Folder,
    /// The verdicts that are stored: those of events that did not simply apply.
    pub(crate) verdicts: BTreeMap<Position, &'static str>,
    /// Conflicts by position and field.
    pub(crate) conflicts: BTreeMap<(i64, String), StoredConflictRow>,
    /// Blocks of positions that have left their records, by record and number.
    pub(crate) blocks: BTreeMap<(RecordKey, i32), Vec<i64>>,
}

impl Projector {
    /// A replay before the first event. With `refold` > 0 all events are judged by the catalog at that position, with 0
    /// each by the catalog in force at its own.
    pub(crate) async fn replay(&self, workspace: WorkspaceId, refold: Position) -> Result<Replay, StepError> {
        let folder = self.folder(workspace, Position::START, refold).await?;
        Ok(Replay {
            workspace,
            position: Position::START,
            folder,
            verdicts: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            blocks: BTreeMap::new(),
        })
    }

    /// Folds on up to `to`, which ends a batch, slice by slice.
    pub(crate) async fn replay_to(&self, replay: &mut Replay, to: Position) -> Result<(), StepError> {
        while replay.position < to {
            let slice = self.store.slice(replay.workspace, replay.position, STEP_LIMITS).await?;
            let Some(end) = slice.batches.last() else { return Ok(()) };
            for event in slice.events.iter().take_while(|event| event.position <= to) {
                replay.fold(event)?;
            }
            replay.take_blocks();
            replay.position = end.cursor.position.min(to);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl Replay {
    /// Folds one event, and keeps its verdict and conflicts as they would be stored.
    fn fold(&mut self, event: &Event) -> Result<(), StoreError> {
        let outcome = self.folder.fold(event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let is_simple = outcome.verdict == Verdict::Applied && outcome.conflicts.is_empty();
        if !is_simple && outcome.verdict != Verdict::Rejected {
            self.verdicts.insert(event.position, outcome.verdict.as_str());
        }
        for conflict in &outcome.conflicts {
            let stored = StoredConflictRow {
                position: event.position.0,
                field: conflict.field.clone(),
                status: conflict.status.as_str().to_owned(),
                closed_position: 0,
                rule: conflict.rule.to_string(),
                record: [event.table.to_string(), event.scope.to_string(), event.record.to_string()],
                winner: stored_side(conflict.winner.as_ref()),
                loser: stored_side(Some(&conflict.loser)),
                beaten_by: conflict.beaten_by.map_or(0, |event| event.position.0),
            };
            self.conflicts.insert((event.position.0, conflict.field.clone()), stored);
        }
        for closed in &outcome.closed {
            let id = closed.id.parts();
            if let Some(conflict) = id.and_then(|(at, field)| self.conflicts.get_mut(&(at.0, field.to_owned()))) {
                closed.status.as_str().clone_into(&mut conflict.status);
                conflict.closed_position = event.position.0;
            }
        }
        Ok(())
    }

    /// Moves the blocks of positions that leave their records out of the folder.
    fn take_blocks(&mut self) {
        for (key, record) in self.folder.take_changed() {
            for (block, positions) in record.history.leaving {
                let block = i32::try_from(block).unwrap_or(i32::MAX);
                self.blocks.insert((key.clone(), block), positions.iter().map(|position| position.0).collect());
            }
        }
    }
}

/// One side of a conflict as it would be stored: the position of its event, whether it is a delete, and its value as
/// MessagePack if it has one.
fn stored_side(side: Option<&Side>) -> (i64, bool, Option<Vec<u8>>) {
    let Some(side) = side else { return (0, false, None) };
    let value = match &side.content {
        Content::Value(value) => {
            let mut bytes = Vec::new();
            value.write_msgpack(&mut bytes);
            Some(bytes)
        }
        Content::Deleted | Content::NotGiven => None,
    };
    (side.position.0, side.content == Content::Deleted, value)
}
