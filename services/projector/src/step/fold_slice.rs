//! The first half of a step: reads a slice of a log and the records it names, and folds it. `step/mod.rs` writes the
//! result.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{ChangedRecord, Folder, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, Position, TableName, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{
    Checkpoint, DigestChanges, DigestRows, HistoryRows, OutcomeRows, RecordRows, StateForm, StepWrites, StoreError,
};
use tokio::time::Instant;

use crate::error::StepError;
use crate::projector::Projector;
use crate::step::fold_state::{FoldState, RecordHashes};

/// After so many events or records a task yields, so that other tasks of its thread wait about a millisecond at most.
const YIELD_INTERVAL: usize = 256;

/// A slice that is folded and not written yet.
#[derive(Debug)]
pub(crate) struct FoldedSlice {
    /// The checkpoint that the transaction must find.
    pub(crate) expected: Checkpoint,
    /// What the transaction writes.
    pub(crate) writes: StepWrites,
    /// The head of the log, as far as the read of this slice saw it.
    pub(crate) head: Position,
    /// Events by table and verdict, for the metrics. Rejected events are not in a slice.
    pub(crate) event_counts: EventCounts,
    /// When reading the slice began.
    pub(crate) began: Instant,
}

/// A folded slice, and the state from which the slice after it is folded.
#[derive(Debug)]
pub(crate) struct NextFold {
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
    /// Folds the slice after `state`; `None` if there is nothing to fold, or an earlier version has folded the records and
    /// they have to be rebuilt first.
    ///
    /// `state` may be ahead of the database: the step that stores its checkpoint may be under way. If that step fails, the transaction of this slice does not
    /// find the checkpoint it expects, and writes nothing.
    pub(crate) async fn fold_next(
        &self,
        workspace: WorkspaceId,
        mut state: FoldState,
    ) -> Result<Option<NextFold>, StepError> {
        let began = Instant::now();
        if !state.checkpoint.is_foldable() {
            return Ok(None);
        }
        let mut slice = self.store.slice(workspace, state.checkpoint.position, self.slice_limits).await?;
        // Fewer than all if their records take too much memory, but at least one.
        let foldable = self.load_records(workspace, &mut state, &slice).await?;
        let FoldState { checkpoint, mut folder, hashes, touched } = state;
        slice.batches.truncate(foldable);
        let Some(last) = slice.batches.last() else { return Ok(None) };
        let (events, end) = (&slice.events[..last.events], last.cursor);
        let (outcomes, event_counts) = fold(&mut folder, events).await?;
        // As the folder does it: catalogs before a refold are skipped, and the last one holds.
        let catalogs = events.iter().filter(|event| event.table.as_str() == CATALOG_TABLE);
        let in_force = catalogs.map(|event| event.position).filter(|position| *position >= checkpoint.refold_position);
        let catalog_position = in_force.max().unwrap_or(checkpoint.catalog_position);
        let (changed, hashes_after) = changed_rows(&folder, &hashes).await;
        let ChangedRows { new_records, known_records, history, digests } = changed;
        let writes = StepWrites { new_records, known_records, outcomes, history, digests, end, catalog_position };
        // The next slice may be folded before these rows are stored, so it needs these records from here. Others are read
        // again.
        folder.keep_changed();
        let (position, state_form) = (end.position, StateForm::CURRENT);
        let checkpoint_after = Checkpoint { position, catalog_position, state_form, ..checkpoint };
        Ok(Some(NextFold {
            slice: FoldedSlice { expected: checkpoint, writes, head: slice.head, event_counts, began },
            state_after: FoldState { checkpoint: checkpoint_after, folder, hashes: hashes_after, touched },
        }))
    }
}

/// Folds events. The folder must hold every stored record that they name.
async fn fold(folder: &mut Folder, events: &[Event]) -> Result<(OutcomeRows, EventCounts), StoreError> {
    let (mut outcomes, mut counts) = (OutcomeRows::new(), EventCounts::new());
    // Most events are applied puts to the table of the event before. They are counted here, and enter the map once for each
    // run of them.
    let (mut table, mut applied): (Option<&TableName>, u64) = (None, 0);
    for events in events.chunks(YIELD_INTERVAL) {
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
            // The key is built only for an outcome with conflicts.
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
    /// Blocks of history positions that have moved out of the states of their records.
    history: HistoryRows,
    /// Changes of the table digests.
    digests: DigestRows,
}

/// The rows of the changed records. `hashes` has what the table digests include for these records before the slice, the
/// second result what they include after it.
async fn changed_rows(folder: &Folder, hashes: &RecordHashes) -> (ChangedRows, RecordHashes) {
    let (mut new_records, mut known_records) = (RecordRows::new(), RecordRows::new());
    let (mut history, mut digests) = (HistoryRows::new(), DigestChanges::default());
    let mut hashes_after = RecordHashes::new();
    for ChangedRecord { key, record, is_new } in folder.changed() {
        let rows = if is_new { &mut new_records } else { &mut known_records };
        let hash = rows.push(key, record); // `None` for a tombstone, which is in no digest
        history.push(key, &record.history);
        digests.replace(key, hashes.get(key).copied(), hash);
        if let Some(hash) = hash {
            hashes_after.insert(key.clone(), hash);
        }
        if (new_records.len() + known_records.len()).is_multiple_of(YIELD_INTERVAL) {
            tokio::task::yield_now().await;
        }
    }
    (ChangedRows { new_records, known_records, history, digests: digests.rows() }, hashes_after)
}
