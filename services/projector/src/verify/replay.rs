//! The fold of a whole log in memory, and everything that the projector would have stored of it.

use std::collections::BTreeMap;

use tidelog_core::fold::{Content, Folder, RecordKey, Side};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{StoreError, StoredConflict};

use crate::projector::Projector;
use crate::projector::STEP;
use crate::step::StepError;

/// A log folded up to some position. It holds every record and every conflict of one workspace.
pub(crate) struct Replay {
    pub(crate) workspace: WorkspaceId,
    /// Up to here.
    pub(crate) position: Position,
    pub(crate) folder: Folder,
    /// Of the events that did not simply apply.
    pub(crate) verdicts: BTreeMap<Position, &'static str>,
    /// By position and field.
    pub(crate) conflicts: BTreeMap<(i64, String), StoredConflict>,
    /// The blocks of positions that left their records.
    pub(crate) blocks: BTreeMap<(RecordKey, i32), Vec<i64>>,
}

impl Projector {
    /// Before the first event, in a making that holds the rules of the refold at this position from the start.
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

    /// Folds on up to `to`, a batch boundary, some events at a time.
    pub(crate) async fn replay_to(&self, replay: &mut Replay, to: Position) -> Result<(), StepError> {
        while replay.position < to {
            let slice = self.store.slice(replay.workspace, replay.position, STEP).await?;
            let Some(end) = slice.batches.last() else { return Ok(()) };
            for event in slice.events.iter().take_while(|event| event.position <= to) {
                let folded = replay.folder.fold(event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
                let is_simple = folded.verdict == Verdict::Applied && folded.conflicts.is_empty();
                if !is_simple && folded.verdict != Verdict::Rejected {
                    replay.verdicts.insert(event.position, folded.verdict.as_str());
                }
                for row in &folded.conflicts {
                    let stored = StoredConflict {
                        position: event.position.0,
                        field: row.field.clone(),
                        status: row.status.as_str().to_owned(),
                        closed_position: 0,
                        rule: row.rule.to_string(),
                        record: [event.table.to_string(), event.scope.to_string(), event.record.to_string()],
                        winner: side_of(row.winner.as_ref()),
                        loser: side_of(Some(&row.loser)),
                    };
                    replay.conflicts.insert((event.position.0, row.field.clone()), stored);
                }
                for closed in &folded.closed {
                    let row = closed.id.parts();
                    let row = row.and_then(|(at, field)| replay.conflicts.get_mut(&(at.0, field.to_owned())));
                    if let Some(row) = row {
                        closed.status.as_str().clone_into(&mut row.status);
                        row.closed_position = event.position.0;
                    }
                }
            }
            for (key, record) in replay.folder.take_changed() {
                for (block, positions) in record.history.leaving {
                    let block = i32::try_from(block).unwrap_or(i32::MAX);
                    replay.blocks.insert((key.clone(), block), positions.iter().map(|position| position.0).collect());
                }
            }
            replay.position = end.cursor.position.min(to);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// A side as it is stored.
fn side_of(side: Option<&Side>) -> (i64, bool, Option<Vec<u8>>) {
    let Some(side) = side else { return (0, false, None) };
    let value = match &side.content {
        Content::Value(value) => {
            let mut bytes = Vec::new();
            value.write_msgpack(&mut bytes);
            Some(bytes)
        }
        Content::Deleted | Content::Nothing => None,
    };
    (side.position.0, side.content == Content::Deleted, value)
}
