//! `tidelog catalog preview`: prints which records would differ if another catalog had been in force from the first event on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{TableName, WorkspaceId};
use tidelog_core::value::Value;
use tidelog_postgres::Store;
use tidelog_projector::{FieldChange, NowThen, Preview, RecordChange, TablePreview};

use crate::cli::global::Global;
use crate::cli::log::projector::projector;
use crate::cli::output::{Output, table};

/// The previews of all workspaces together, as JSON.
#[derive(Serialize)]
struct PreviewView<'a> {
    tables: BTreeMap<&'a TableName, TableView>,
    changed: u64,
    records: Vec<RecordView<'a>>,
}

/// Counts of one table; each pair is the count under the rules that hold now, and under the other catalog.
#[derive(Serialize, Default)]
struct TableView {
    changed: u64,
    records: [u64; 2],
    open_conflicts: [u64; 2],
    lost: [u64; 2],
}

/// A record that would differ, as JSON.
#[derive(Serialize)]
struct RecordView<'a> {
    workspace: WorkspaceId,
    table: &'a TableName,
    scope: &'a str,
    record: &'a str,
    lives: [bool; 2],
    fields: Vec<FieldView<'a>>,
}

/// A field that would differ, as JSON. A side that lacks the field has no member.
#[derive(Serialize)]
struct FieldView<'a> {
    field: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<&'a Value>,
}

impl<'a> From<&'a FieldChange> for FieldView<'a> {
    fn from(change: &'a FieldChange) -> Self {
        Self { field: &change.field, now: change.now.as_ref(), then: change.then.as_ref() }
    }
}

/// Prints which records would differ if `catalog` had been in force from the first event on.
pub(crate) async fn print_preview(
    store: &Store,
    global: &Global,
    output: &Output,
    catalog: Catalog,
    only: Option<WorkspaceId>,
    limit: usize,
) -> anyhow::Result<()> {
    let (projector, catalog) = (projector(store, global)?, Arc::new(catalog));
    let mut previews = Vec::new();
    for generations in store.generations(only).await? {
        let listed: usize = previews.iter().map(|preview: &Preview| preview.changes.len()).sum();
        let workspace = generations.live.workspace;
        previews.push(projector.preview(workspace, Arc::clone(&catalog), limit.saturating_sub(listed)).await?);
    }
    output.print(&view_of(&previews), tables)
}

fn view_of(previews: &[Preview]) -> PreviewView<'_> {
    let mut tables: BTreeMap<&TableName, TableView> = BTreeMap::new();
    for (name, counts) in previews.iter().flat_map(|preview| &preview.tables) {
        tables.entry(name).or_default().add(counts);
    }
    let records =
        previews.iter().flat_map(|preview| preview.changes.iter().map(|change| record_view(preview.workspace, change)));
    PreviewView { changed: tables.values().map(|table| table.changed).sum(), records: records.collect(), tables }
}

impl TableView {
    fn add(&mut self, counts: &TablePreview) {
        let add = |sum: &mut [u64; 2], counts: NowThen<u64>| *sum = [sum[0] + counts.now, sum[1] + counts.then];
        self.changed += counts.changed;
        add(&mut self.records, counts.records);
        add(&mut self.open_conflicts, counts.open_conflicts);
        add(&mut self.lost, counts.lost);
    }
}

fn record_view(workspace: WorkspaceId, change: &RecordChange) -> RecordView<'_> {
    RecordView {
        workspace,
        table: &change.key.table,
        scope: change.key.scope.as_str(),
        record: change.key.record.as_str(),
        lives: [change.lives.now, change.lives.then],
        fields: change.fields.iter().map(FieldView::from).collect(),
    }
}

/// The counts and the records that differ as tables for people.
fn tables(view: &PreviewView<'_>) -> String {
    let pair = |[now, then]: [u64; 2]| if now == then { now.to_string() } else { format!("{now} -> {then}") };
    let counts = view.tables.iter().map(|(name, table)| {
        [name.to_string(), table.changed.to_string(), pair(table.records), pair(table.open_conflicts), pair(table.lost)]
    });
    let counts = table(&["TABLE", "CHANGED", "RECORDS", "OPEN CONFLICTS", "EVENTS THAT LOST"], counts);
    let state = |lives| if lives { "lives" } else { "deleted" }.to_owned();
    let json = |value: Option<&Value>| {
        value.map_or_else(String::new, |value| serde_json::to_string(value).unwrap_or_default())
    };
    let rows = view.records.iter().flat_map(|record| {
        let address =
            [record.workspace.to_string(), record.table.to_string(), record.scope.to_owned(), record.record.to_owned()];
        let row = move |field: &str, now, then| {
            address.clone().into_iter().chain([field.to_owned(), now, then]).collect::<Vec<_>>()
        };
        let lives =
            (record.lives[0] != record.lives[1]).then(|| row("", state(record.lives[0]), state(record.lives[1])));
        let fields = record.fields.iter().map(move |field| row(field.field, json(field.now), json(field.then)));
        lives.into_iter().chain(fields).collect::<Vec<_>>()
    });
    let rows = table(&["WORKSPACE", "TABLE", "SCOPE", "RECORD", "FIELD", "NOW", "THEN"], rows);
    let shown = view.records.len() as u64;
    let more = if shown < view.changed {
        format!("\n{shown} of {} records are listed: pass a larger --limit to list more\n", view.changed)
    } else {
        String::new()
    };
    match view.changed {
        0 => format!("no record would differ\n\n{counts}"),
        _ => format!("{counts}\n{rows}{more}"),
    }
}
