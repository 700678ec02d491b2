//! A slice of a log folded in memory: everything of a step but its transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidelog_core::event::Event;
use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{ChangedRecord, Folder, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, Position, TableName, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{
    Checkpoint, ConflictsWritten, DigestChanges, DigestRows, EventRows, LogSlice, RecordRows, StepWrites, StoreError,
    StoredRecord, TableSet,
};
use tokio::time::Instant;

use crate::projector::Projector;
use crate::step::StepError;
use crate::touched_records::TouchedRecords;

/// Events that are folded in one go, so that whatever shares the thread waits for about a millisecond.
const EVENTS_IN_ONE_GO: usize = 256;

/// Where writes goes on: a checkpoint, the catalog in force there, and records as they are there.
#[derive(Debug)]
pub(crate) struct FoldState {
    /// The checkpoint, written or about to be.
    pub(crate) checkpoint: Checkpoint,
    /// The catalog, and what is known of the records.
    folder: Folder,
    /// What each of these brings to its table's digest as it is stored, if anything.
    counted: Counted,
    /// The records that events have named so far, of a rebuild that began with the first event.
    touched: Option<TouchedRecords>,
}

/// What records bring to the digests of their tables.
type Counted = HashMap<RecordKey, RecordHash>;

/// A slice that is folded, and not written.
#[derive(Debug)]
pub(crate) struct FoldedSlice {
    /// The checkpoint that its transaction has to find.
    pub(crate) expected: Checkpoint,
    /// What its transaction is to write.
    pub(crate) writes: StepWrites,
    /// The last position of the log that was touched.
    pub(crate) head: Position,
    /// Events by table and verdict, for the metrics.
    pub(crate) counts: Counts,
    /// When reading it began.
    pub(crate) began: Instant,
}

impl FoldedSlice {
    /// Whether the log is known to go on behind it.
    pub(crate) fn has_more(&self) -> bool {
        self.writes.end.position < self.head
    }
}

impl Projector {
    /// Where a workspace's checkpoint is, of the live tables or of a set.
    pub(crate) async fn place(&self, workspace: WorkspaceId, set: Option<TableSet>) -> Result<FoldState, StepError> {
        let read = self.store.checkpoint_and_catalog(workspace, set).await?;
        let (checkpoint, digest) = read.ok_or(StepError::NoWorkspace(workspace))?;
        let mut folder = self.folder(workspace, checkpoint.position, checkpoint.refold_position).await?;
        if checkpoint.refold_position <= checkpoint.position && checkpoint.catalog_position > Position::START {
            let at = checkpoint.catalog_position;
            let in_force = self.catalogs.of_event(&self.store, workspace, at, digest).await?;
            folder.set_catalog(in_force.version, in_force.catalog);
        }
        let is_from_start = set.is_some() && checkpoint.position == Position::START;
        Ok(FoldState {
            checkpoint,
            folder,
            counted: Counted::new(),
            touched: is_from_start.then(TouchedRecords::default),
        })
    }

    /// A folder for events after a position, in a making that holds the rules of the `_catalog` event at `refold_position`
    /// from the start (0: each event's own).
    pub(crate) async fn folder(
        &self,
        workspace: WorkspaceId,
        after: Position,
        refold_position: Position,
    ) -> Result<Folder, StepError> {
        let mut folder = Folder::with_resolvers(self.resolvers.clone());
        if refold_position > after {
            let ruling = self.catalogs.of_event(&self.store, workspace, refold_position, None).await?;
            folder.refold(refold_position, ruling.version, ruling.catalog);
        }
        Ok(folder)
    }

    /// Folds the next slice behind a place, and the place behind that; `None` if there is nothing to fold.
    ///
    /// The place may be one whose checkpoint is still being written. Whether it was is touched by the transaction of the
    /// slice behind it, which finds another checkpoint if it was not.
    pub(crate) async fn fold_on(
        &self,
        workspace: WorkspaceId,
        mut place: FoldState,
    ) -> Result<Option<(FoldedSlice, FoldState)>, StepError> {
        let began = Instant::now();
        let mut slice = self.store.slice(workspace, place.checkpoint.position, self.slice_limits).await?;
        let whole = self.load(workspace, &mut place, &slice).await?;
        let FoldState { checkpoint, mut folder, counted, touched } = place;
        slice.batches.truncate(whole);
        let Some(end) = slice.batches.last() else { return Ok(None) };
        let (events, end) = (&slice.events[..end.events], end.cursor);
        let (conflicts, counts) = fold(&mut folder, events).await?;
        let catalogs = events.iter().filter(|event| event.table.as_str() == CATALOG_TABLE);
        let in_force = catalogs.map(|event| event.position).filter(|position| *position >= checkpoint.refold_position);
        let catalog_position = in_force.max().unwrap_or(checkpoint.catalog_position);
        let (rows, counted) = rows(&folder, &counted).await;
        let Rows { new, known, blocks, digests } = rows;
        let writes = StepWrites { new, known, conflicts, events: blocks, digests, end, catalog_position };
        folder.keep_changed();
        let next = Checkpoint { position: end.position, catalog_position, ..checkpoint };
        let folded = FoldedSlice { expected: checkpoint, writes, head: slice.head, counts, began };
        Ok(Some((folded, FoldState { checkpoint: next, folder, counted, touched })))
    }

    /// Loads the records that a slice names and the folder does not hold. How many batches of it they are of: fewer than
    /// there are if all together weigh too much, one at least.
    async fn load(&self, workspace: WorkspaceId, place: &mut FoldState, slice: &LogSlice) -> Result<usize, StoreError> {
        let FoldState { checkpoint, folder, counted, touched } = place;
        let table_set = Some(checkpoint.table_set);
        let (keys, first_named) = keys_of(&slice.events, folder, touched.as_mut());
        let share = self.records_bytes_max / keys.len().max(1);
        let loaded = self.store.load(workspace, table_set, &keys, share).await?;
        take(loaded.records, loaded.hashes, folder, counted);
        let mut large = loaded.bytes;
        if large.iter().all(|(_, bytes)| *bytes <= share) {
            return Ok(slice.batches.len());
        }
        let batches = self.batches_within_bounds(slice, &first_named, &large);
        let events = slice.batches.get(batches - 1).map_or(0, |end| end.events);
        large.retain(|(key, bytes)| *bytes > share && first_named[*key] < events);
        let keys: Vec<_> = large.iter().map(|(key, _)| keys[*key].clone()).collect();
        let loaded = self.store.load(workspace, table_set, &keys, usize::MAX).await?;
        take(loaded.records, loaded.hashes, folder, counted);
        Ok(batches)
    }

    /// How many batches name no more than a step may load; one at least. Keys are numbered in the order in which they are
    /// first named.
    fn batches_within_bounds(&self, slice: &LogSlice, first_named: &[usize], loaded: &[(usize, usize)]) -> usize {
        let mut bytes = loaded.to_vec();
        bytes.sort_unstable();
        let mut sum = 0;
        let too_much = bytes.into_iter().find(|(_, bytes)| {
            sum += bytes;
            sum > self.records_bytes_max
        });
        let Some((key, _)) = too_much else { return slice.batches.len() };
        slice.batches.partition_point(|end| end.events <= first_named[key]).max(1)
    }
}

/// The records that events name, that the folder does not hold, and of which something may be stored: each once, with the
/// event that is the first to name it.
fn keys_of(
    events: &[Event],
    folder: &Folder,
    mut touched: Option<&mut TouchedRecords>,
) -> (Vec<RecordKey>, Vec<usize>) {
    let mut named = HashSet::with_capacity(events.len());
    let (mut keys, mut first_named) = (Vec::new(), Vec::new());
    for (number, event) in events.iter().enumerate() {
        let is_first = named.insert((event.table.as_str(), event.scope.as_str(), event.record.as_str()));
        let is_to_load = is_first && !event.table.is_server_owned() && !folder.holds_named(event);
        if is_to_load
            && touched.as_mut().is_none_or(|touched| touched.meet((&event.table, &event.scope, &event.record)))
        {
            keys.push(RecordKey::of(event));
            first_named.push(number);
        }
    }
    (keys, first_named)
}

/// Events by table and verdict.
pub(crate) type Counts = BTreeMap<(TableName, &'static str), u64>;

/// Folds events into the records they name, which the folder holds.
async fn fold(folder: &mut Folder, events: &[Event]) -> Result<(ConflictsWritten, Counts), StoreError> {
    let (mut conflicts, mut counts) = (ConflictsWritten::new(), Counts::new());
    // Most events are applied puts to the table of the event before.
    let (mut table, mut applied): (Option<&TableName>, u64) = (None, 0);
    for some in events.chunks(EVENTS_IN_ONE_GO) {
        for event in some {
            let folded = folder.fold(event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            if table != Some(&event.table) {
                count(&mut counts, table, Verdict::Applied, applied);
                (table, applied) = (Some(&event.table), 0);
            }
            match folded.verdict {
                Verdict::Applied => applied += 1,
                verdict => count(&mut counts, table, verdict, 1),
            }
            conflicts.push(event.position, || RecordKey::of(event), &folded);
        }
        tokio::task::yield_now().await;
    }
    count(&mut counts, table, Verdict::Applied, applied);
    Ok((conflicts, counts))
}

fn count(counts: &mut Counts, table: Option<&TableName>, verdict: Verdict, events: u64) {
    if let Some(table) = table.filter(|_| events > 0) {
        *counts.entry((table.clone(), verdict.as_str())).or_default() += events;
    }
}

/// Takes stored records in.
fn take(records: Vec<StoredRecord>, hashes: Vec<Option<RecordHash>>, folder: &mut Folder, counted: &mut Counted) {
    for ((key, record), hash) in records.into_iter().zip(hashes) {
        if let Some(hash) = hash {
            counted.insert(key.clone(), hash);
        }
        folder.load(key, record);
    }
}

/// What a step writes of records.
struct Rows {
    new: RecordRows,
    known: RecordRows,
    blocks: EventRows,
    digests: DigestRows,
}

/// The changed records, the positions that leave them, and what they bring to the digests; and what is counted of them
/// then.
async fn rows(folder: &Folder, counted: &Counted) -> (Rows, Counted) {
    let (mut new, mut known) = (RecordRows::new(), RecordRows::new());
    let (mut blocks, mut changes) = (EventRows::new(), DigestChanges::default());
    let mut counted_now = Counted::new();
    for ChangedRecord { key, record, is_new } in folder.changed() {
        let hash = if is_new { &mut new } else { &mut known }.push(key, record);
        blocks.push(key, &record.history);
        changes.replace(key, counted.get(key).copied(), hash);
        if let Some(hash) = hash {
            counted_now.insert(key.clone(), hash);
        }
        if (new.len() + known.len()).is_multiple_of(EVENTS_IN_ONE_GO) {
            tokio::task::yield_now().await;
        }
    }
    (Rows { new, known, blocks, digests: changes.rows() }, counted_now)
}
