//! Compares the records of a workspace with those that another catalog would have made of the same log.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{FoldError, Folder, Record, RecordKey};
use tidelog_core::ids::{CatalogVersion, Position, TableName, WorkspaceId};
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::StoreError;

use crate::error::StepError;
use crate::projector::{Projector, STEP_LIMITS};

/// How the records of a workspace would differ if another catalog had held from position 1 on.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The last event that was folded.
    pub head: Position,
    /// Every table, also those without a difference.
    pub tables: BTreeMap<TableName, TablePreview>,
    /// The records that differ, in the order of their keys, up to the number asked for.
    pub changes: Vec<RecordChange>,
}

/// A value under the rules that hold now, and under those of the other catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NowThen<T> {
    /// Under the rules that hold now.
    pub now: T,
    /// Under the other catalog.
    pub then: T,
}

/// How one table would differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TablePreview {
    /// Live records.
    pub records: NowThen<u64>,
    /// Records that a reader would see differently.
    pub changed: u64,
    /// Conflicts that wait for a person to settle them.
    pub open_conflicts: NowThen<u64>,
    /// Events that lost at least one value: merged, superseded or in conflict.
    pub lost: NowThen<u64>,
}

/// A record that would differ.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordChange {
    /// Its address.
    pub key: RecordKey,
    /// Whether it is live: it exists and is not deleted.
    pub lives: NowThen<bool>,
    /// The fields that differ, in the order of their names.
    pub fields: Vec<FieldChange>,
}

/// A field that would differ; a side is `None` if it lacks the field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// Its value under the rules that hold now.
    pub now: Option<Value>,
    /// Its value under the other catalog.
    pub then: Option<Value>,
}

impl Projector {
    /// Folds the log of a workspace twice, by the rules that hold now and as if `catalog` had held from position 1 on, and
    /// compares the records. Lists up to `changes_max` of those that differ, and counts all. Only reads. It holds the
    /// records of both folds in memory, but not the log.
    pub async fn preview(
        &self,
        workspace: WorkspaceId,
        catalog: Arc<Catalog>,
        changes_max: usize,
    ) -> Result<Preview, StepError> {
        let checkpoint = self.store.checkpoint(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
        let head = self.store.head(workspace, Position::START).await?.ok_or(StepError::NoWorkspace(workspace))?.head;
        let mut now = self.folder(workspace, Position::START, checkpoint.refold_position).await?;
        let mut then = Folder::with_resolvers(self.resolvers.clone());
        // A refold after every position, so that no catalog of the log comes into force.
        then.refold(Position(i64::MAX), CatalogVersion(i64::MAX), catalog);
        let mut preview = Preview { workspace, head, tables: BTreeMap::new(), changes: Vec::new() };
        let mut position = Position::START;
        while position < head {
            let slice = self.store.slice(workspace, position, STEP_LIMITS).await?;
            let Some(end) = slice.batches.last() else { break };
            for event in slice.events.iter().take_while(|event| event.position <= head) {
                preview.fold(event, &mut now, &mut then)?;
            }
            // Nothing is stored, so the positions that have left their records for blocks of their own can go.
            now.mark_changed_as_stored();
            then.mark_changed_as_stored();
            position = end.cursor.position;
            tokio::task::yield_now().await;
        }
        for (key, record) in now.records() {
            preview.compare(key, Some(record), then.record(key), changes_max);
        }
        for (key, record) in then.records().filter(|(key, _)| now.record(key).is_none()) {
            preview.compare(key, None, Some(record), changes_max);
        }
        preview.changes.sort_by(|a, b| a.key.cmp(&b.key));
        preview.changes.truncate(changes_max);
        Ok(preview)
    }
}

impl Preview {
    /// Folds an event on both sides, and counts whether it loses something.
    fn fold(&mut self, event: &Event, now: &mut Folder, then: &mut Folder) -> Result<(), StoreError> {
        let corrupt = |error: FoldError| StoreError::Corrupt(error.to_string());
        let verdict_now = now.fold(event).map_err(corrupt)?.verdict;
        let verdict_then = then.fold(event).map_err(corrupt)?.verdict;
        if !event.table.is_server_owned() {
            let table = self.tables.entry(event.table.clone()).or_default();
            table.lost.now += u64::from(is_loss(verdict_now));
            table.lost.then += u64::from(is_loss(verdict_then));
        }
        Ok(())
    }

    /// Counts a record of either side, and lists it if its sides differ.
    fn compare(&mut self, key: &RecordKey, now: Option<&Record>, then: Option<&Record>, changes_max: usize) {
        let lives = |record: Option<&Record>| record.is_some_and(|record| !record.deleted);
        let open_conflicts = |record: Option<&Record>| record.map_or(0, |record| record.open_conflicts.len() as u64);
        let fields = |record: Option<&Record>| record.map_or_else(Fields::default, Record::plain);
        let table = self.tables.entry(key.table.clone()).or_default();
        let lives = NowThen { now: lives(now), then: lives(then) };
        table.records.now += u64::from(lives.now);
        table.records.then += u64::from(lives.then);
        table.open_conflicts.now += open_conflicts(now);
        table.open_conflicts.then += open_conflicts(then);
        let fields = field_changes(fields(now), fields(then));
        if lives.now == lives.then && fields.is_empty() {
            return;
        }
        table.changed += 1;
        // Records that only the other fold has come last, in key order of their own: which of them are among the first is
        // known once all are sorted.
        if self.changes.len() < changes_max || now.is_none() {
            self.changes.push(RecordChange { key: key.clone(), lives, fields });
        }
    }
}

fn is_loss(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Merged | Verdict::Superseded | Verdict::Conflict)
}

fn field_changes(now: Fields, mut then: Fields) -> Vec<FieldChange> {
    let mut changes: Vec<_> = now
        .0
        .into_iter()
        .map(|(field, value)| FieldChange { then: then.0.remove(&field), field, now: Some(value) })
        .filter(|change| change.now != change.then)
        .collect();
    changes.extend(then.0.into_iter().map(|(field, value)| FieldChange { field, now: None, then: Some(value) }));
    changes.sort_by(|a, b| a.field.cmp(&b.field));
    changes
}
