//! Folds a slice of a log in memory: everything of a step but its transaction.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{ChangedRecord, Folder, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, Position, TableName, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{
    Checkpoint, DigestChanges, DigestRows, HistoryRows, OutcomeRows, RecordRows, StepWrites, StoreError,
};
use tokio::time::Instant;

use crate::error::StepError;
use crate::projector::Projector;
use crate::step::fold_state::{FoldState, RecordHashes};

/// Events folded, or records encoded, before a task yields: others on its thread then wait for about a millisecond.
const YIELD_INTERVAL_EVENTS: usize = 256;

/// A slice that is folded and not written yet.
#[derive(Debug)]
pub(crate) struct FoldedSlice {
    /// The checkpoint that the transaction must find.
    pub(crate) expected: Checkpoint,
    /// What the transaction writes.
    pub(crate) writes: StepWrites,
    /// The last position of the log that was seen.
    pub(crate) head: Position,
    /// Events by table and verdict, for the metrics.
    pub(crate) event_counts: EventCounts,
    /// When reading the slice began.
    pub(crate) began: Instant,
}

/// A folded slice, and the state from which the slice after it is folded.
#[derive(Debug)]
pub(crate) struct SliceFold {
    pub(crate) slice: FoldedSlice,
    pub(crate) state_after: FoldState,
}

/// Events by table and verdict.
pub(crate) type EventCounts = BTreeMap<(TableName, &'static str), u64>;

impl FoldedSlice {
    /// Whether the log is known to go on after this slice.
    pub(crate) fn has_more(&self) -> bool {
        self.writes.end.position < self.head
    }
}

impl Projector {
    /// Folds the slice after `state`; `None` if there is nothing to fold.
    ///
    /// The checkpoint of `state` may still be being written. If that write fails, the transaction of this slice does not
    /// find the checkpoint it expects, and writes nothing.
    pub(crate) async fn fold_next(
        &self,
        workspace: WorkspaceId,
        mut state: FoldState,
    ) -> Result<Option<SliceFold>, StepError> {
        let began = Instant::now();
        let mut slice = self.store.slice(workspace, state.checkpoint.position, self.slice_limits).await?;
        let batches = self.load_records(workspace, &mut state, &slice).await?;
        let FoldState { checkpoint, mut folder, hashes, touched } = state;
        slice.batches.truncate(batches);
        let Some(end) = slice.batches.last() else { return Ok(None) };
        let (events, end) = (&slice.events[..end.events], end.cursor);
        let (outcomes, event_counts) = fold(&mut folder, events).await?;
        let catalogs = events.iter().filter(|event| event.table.as_str() == CATALOG_TABLE);
        let in_force = catalogs.map(|event| event.position).filter(|position| *position >= checkpoint.refold_position);
        let catalog_position = in_force.max().unwrap_or(checkpoint.catalog_position);
        let (changed, hashes) = changed_rows(&folder, &hashes).await;
        let ChangedRows { new_records, known_records, history, digests } = changed;
        let writes = StepWrites { new_records, known_records, outcomes, history, digests, end, catalog_position };
        folder.keep_changed();
        let checkpoint_after = Checkpoint { position: end.position, catalog_position, ..checkpoint };
        Ok(Some(SliceFold {
            slice: FoldedSlice { expected: checkpoint, writes, head: slice.head, event_counts, began },
            state_after: FoldState { checkpoint: checkpoint_after, folder, hashes, touched },
        }))
    }
}

/// Folds events into records, which the folder has to hold.
async fn fold(folder: &mut Folder, events: &[Event]) -> Result<(OutcomeRows, EventCounts), StoreError> {
    let (mut outcomes, mut counts) = (OutcomeRows::new(), EventCounts::new());
    // Most events are applied puts to the same table as the event before, so these are counted without the map.
    let (mut table, mut applied): (Option<&TableName>, u64) = (None, 0);
    for events in events.chunks(YIELD_INTERVAL_EVENTS) {
        for event in events {
            let outcome = folder.fold(event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            if table != Some(&event.table) {
                add_count(&mut counts, table, Verdict::Applied, applied);
                (table, applied) = (Some(&event.table), 0);
            }
            match outcome.verdict {
                Verdict::Applied => applied += 1,
                verdict => add_count(&mut counts, table, verdict, 1),
            }
            outcomes.push(event.position, || RecordKey::of(event), &outcome);
        }
        tokio::task::yield_now().await;
    }
    add_count(&mut counts, table, Verdict::Applied, applied);
    Ok((outcomes, counts))
}

fn add_count(counts: &mut EventCounts, table: Option<&TableName>, verdict: Verdict, events: u64) {
    if let Some(table) = table.filter(|_| events > 0) {
        *counts.entry((table.clone(), verdict.as_str())).or_default() += events;
    }
}

/// The rows that a step writes for the records it changed.
struct ChangedRows {
    /// Records without a row so far.
    new_records: RecordRows,
    /// Records that have a row.
    known_records: RecordRows,
    /// Positions of events that have left their records.
    history: HistoryRows,
    /// Changes of the table digests.
    digests: DigestRows,
}

/// The rows of the records that the folder has changed, given the hashes that the table digests include for them so far.
/// Also returns the hashes that the digests include afterwards.
async fn changed_rows(folder: &Folder, hashes: &RecordHashes) -> (ChangedRows, RecordHashes) {
    let (mut new_records, mut known_records) = (RecordRows::new(), RecordRows::new());
    let (mut history, mut digests) = (HistoryRows::new(), DigestChanges::default());
    let mut hashes_after = RecordHashes::new();
    for ChangedRecord { key, record, is_new } in folder.changed() {
        let hash = if is_new { &mut new_records } else { &mut known_records }.push(key, record);
        history.push(key, &record.history);
        digests.replace(key, hashes.get(key).copied(), hash);
        if let Some(hash) = hash {
            hashes_after.insert(key.clone(), hash);
        }
        if (new_records.len() + known_records.len()).is_multiple_of(YIELD_INTERVAL_EVENTS) {
            tokio::task::yield_now().await;
        }
    }
    (ChangedRows { new_records, known_records, history, digests: digests.rows() }, hashes_after)
}
