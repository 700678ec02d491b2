//! One step: a stretch of a log into its records.

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, CatalogVersion, Position, WorkspaceId};
use tidelog_postgres::{
    Checkpoint, EventFilter, EventPage, FoldedEvent, Folding, PageLimits, Store, StoreError, StoredRecord,
};

use crate::run::Projector;

/// What one step folds at most, give or take a batch. Larger steps save round trips, smaller ones hold less in memory
/// and let a waiting push know sooner.
const STEP: PageLimits = PageLimits { events: 2_000, bytes: 8 * 1024 * 1024, positions: 50_000 };

/// What the records of one step weigh at most as they are stored, unless a single batch names more.
pub(crate) const RECORDS_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Folded up to here; the log went on to `head` when it was read.
    Folded {
        /// The checkpoint now.
        position: Position,
        /// The head it saw.
        head: Position,
    },
    /// Nothing to fold.
    Idle,
    /// Another projector is at it.
    Busy,
}

/// Why a step failed. Nothing of it is stored; the next step begins where this one did.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such workspace.
    #[error("there is no workspace {0}")]
    NoWorkspace(WorkspaceId),
}

impl Projector {
    /// Folds the next stretch of a workspace's log.
    pub async fn step(&self, workspace: WorkspaceId) -> Result<Progress, StepError> {
        let store = &self.store;
        let checkpoint = store.checkpoint(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
        let head = store.head(workspace, Position::START).await?.ok_or(StepError::NoWorkspace(workspace))?.head;
        if head <= checkpoint.position {
            return Ok(Progress::Idle);
        }
        let timer = self.metrics.step_seconds.with_label_values::<&str>(&[]).start_timer();
        let page = self.page(workspace, checkpoint.position, head).await?;
        let in_force = catalog_at(store, workspace, checkpoint).await?;
        let end = page.end.position;
        let fold = |records| fold(in_force, records, &page.events, checkpoint, end);
        let folding = store.project(workspace, checkpoint, &keys_of(&page.events), fold).await?;
        timer.observe_duration();
        let Some(folding) = folding else { return Ok(Progress::Busy) };
        for (event, folded) in page.events.iter().zip(&folding.folded) {
            let labels = [event.table.as_str(), folded.folded.verdict.as_str()];
            self.metrics.events_folded.with_label_values(&labels).inc();
        }
        self.hub.folded(workspace, end);
        Ok(Progress::Folded { position: end, head })
    }
}

impl Projector {
    /// The next stretch to fold. One whose records weigh too much in memory is cut short, to a single batch at least.
    async fn page(&self, workspace: WorkspaceId, after: Position, head: Position) -> Result<EventPage, StepError> {
        let mut limits = STEP;
        loop {
            let page = self.store.page(workspace, after, head, &EventFilter::all(), limits).await?;
            let weight = self.store.stored_bytes(workspace, &keys_of(&page.events)).await?;
            let is_one_batch =
                page.events.first().map(|event| event.batch) == page.events.last().map(|event| event.batch);
            if weight <= self.records_bytes_max || is_one_batch {
                return Ok(page);
            }
            limits.events = (limits.events.min(page.events.len()) / 8).max(1);
        }
    }
}

type InForce = Option<(CatalogVersion, Catalog)>;

/// The catalog in force at a checkpoint, from the log itself.
async fn catalog_at(store: &Store, workspace: WorkspaceId, checkpoint: Checkpoint) -> Result<InForce, StoreError> {
    if checkpoint.catalog_position == Position::START {
        return Ok(None);
    }
    let event = store.event_at(workspace, checkpoint.catalog_position).await?;
    let event = event.ok_or_else(|| StoreError::Corrupt("the checkpoint's _catalog event is missing".to_owned()))?;
    Catalog::from_event(&event).map(Some).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Folds events into the records they name, which are at the checkpoint.
fn fold(
    in_force: InForce,
    records: Vec<StoredRecord>,
    events: &[Event],
    checkpoint: Checkpoint,
    end: Position,
) -> Result<Folding, StoreError> {
    let mut folder = Folder::new();
    if let Some((version, catalog)) = in_force {
        folder.set_catalog(version, catalog);
    }
    for (key, record) in records {
        folder.load(key, record);
    }
    let mut folded = Vec::with_capacity(events.len());
    for event in events {
        let one = folder.fold(event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        folded.push(FoldedEvent { position: event.position, folded: one });
    }
    let catalogs = events.iter().filter(|event| event.table.as_str() == CATALOG_TABLE);
    let catalog_position = catalogs.map(|event| event.position).max().unwrap_or(checkpoint.catalog_position);
    Ok(Folding { changed: folder.take_changed(), folded, position: end, catalog_position })
}

/// The records that events name, each once, in the order that every projector locks them in.
fn keys_of(events: &[Event]) -> Vec<RecordKey> {
    let mut keys: Vec<_> =
        events.iter().filter(|event| event.table.as_str() != CATALOG_TABLE).map(RecordKey::of).collect();
    keys.sort();
    keys.dedup();
    keys
}
