//! What another catalog would have made of the real history.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::Catalog;
use tidelog_core::fold::{Folder, Record, RecordKey};
use tidelog_core::ids::{CatalogVersion, Position, TableName, WorkspaceId};
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_postgres::StoreError;

use crate::projector::Projector;
use crate::projector::STEP;
use crate::step::StepError;

/// What of a workspace would have come out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Which.
    pub workspace: WorkspaceId,
    /// The history up to here.
    pub head: Position,
    /// By table, those without a difference too.
    pub tables: BTreeMap<TableName, TablePreview>,
    /// The records that differ, in the order of their addresses; as many as were asked for.
    pub changes: Vec<RecordChange>,
}

/// How one table would have come out: as it is, and as it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TablePreview {
    /// Live records.
    pub records: (u64, u64),
    /// Records that a reader would see otherwise.
    pub changed: u64,
    /// Conflicts that a person must settle.
    pub open_conflicts: (u64, u64),
    /// Events of which something lost.
    pub lost: (u64, u64),
}

/// A record that would have come out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordChange {
    /// Which.
    pub key: RecordKey,
    /// Whether it lives.
    pub lives: (bool, bool),
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

/// A field that would have come out otherwise; `None` where it would not be there.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it is.
    pub now: Option<Value>,
    /// What it would be.
    pub then: Option<Value>,
}

impl Projector {
    /// Folds the history of a workspace twice, as it was and as if `catalog` had held from position 1 on, and compares.
    /// Reads only. It holds the records of both in memory; the events go by.
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
        // Past every position, so that no catalog of the log comes into force.
        then.refold(Position(i64::MAX), CatalogVersion(i64::MAX), catalog);
        let mut tables: BTreeMap<TableName, TablePreview> = BTreeMap::new();
        let mut position = Position::START;
        while position < head {
            let slice = self.store.slice(workspace, position, STEP).await?;
            let Some(end) = slice.batches.last() else { break };
            for event in slice.events.iter().take_while(|event| event.position <= head) {
                let corrupt = |error: tidelog_core::fold::FoldError| StoreError::Corrupt(error.to_string());
                let verdicts = (now.fold(event).map_err(corrupt)?.verdict, then.fold(event).map_err(corrupt)?.verdict);
                if !event.table.is_server_owned() {
                    let table = tables.entry(event.table.clone()).or_default();
                    table.lost.0 += u64::from(is_loss(verdicts.0));
                    table.lost.1 += u64::from(is_loss(verdicts.1));
                }
            }
            // Nothing is stored: what left the records for its tables can go.
            now.mark_changed_as_stored();
            then.mark_changed_as_stored();
            position = end.cursor.position;
            tokio::task::yield_now().await;
        }
        let mut preview = Preview { workspace, head, tables, changes: Vec::new() };
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

fn is_loss(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Merged | Verdict::Superseded | Verdict::Conflict)
}

impl Preview {
    fn compare(&mut self, key: &RecordKey, now: Option<&Record>, then: Option<&Record>, changes_max: usize) {
        let lives = |record: Option<&Record>| record.is_some_and(|record| !record.deleted);
        let open = |record: Option<&Record>| record.map_or(0, |record| record.open_conflicts.len() as u64);
        let table = self.tables.entry(key.table.clone()).or_default();
        let lives = (lives(now), lives(then));
        table.records.0 += u64::from(lives.0);
        table.records.1 += u64::from(lives.1);
        table.open_conflicts.0 += open(now);
        table.open_conflicts.1 += open(then);
        let plain = |record: Option<&Record>| record.map_or_else(Fields::default, Record::plain);
        let fields = differing(plain(now), plain(then));
        if lives.0 == lives.1 && fields.is_empty() {
            return;
        }
        table.changed += 1;
        // Of those of the other fold alone the order is seen at the end.
        if self.changes.len() < changes_max || now.is_none() {
            self.changes.push(RecordChange { key: key.clone(), lives, fields });
        }
    }
}

fn differing(now: Fields, mut then: Fields) -> Vec<FieldChange> {
    let mut fields: Vec<_> = now
        .0
        .into_iter()
        .map(|(field, value)| FieldChange { then: then.0.remove(&field), field, now: Some(value) })
        .filter(|change| change.now != change.then)
        .collect();
    fields.extend(then.0.into_iter().map(|(field, value)| FieldChange { field, now: None, then: Some(value) }));
    fields.sort_by(|a, b| a.field.cmp(&b.field));
    fields
}
