//! What `tidelog catalog` says of changes: the history of catalogs, and what another one would have made of the data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{TableName, WorkspaceId};
use tidelog_core::value::Value;
use tidelog_postgres::{Store, StoredCatalog};
use tidelog_projector::{FieldChange, NowThen, Preview, RecordChange, TablePreview};

use crate::cli::global::Global;
use crate::cli::log::rebuild::projector;
use crate::cli::output::{Output, table};

#[derive(Serialize)]
struct HistoryRow {
    version: i64,
    applied_at: String,
    refold: bool,
    changed: Vec<String>,
}

/// Says which catalogs were in force, and what each changed.
pub(crate) async fn history(store: &Store, output: &Output) -> anyhow::Result<()> {
    let history = store.catalog_history().await?;
    let rows: Vec<_> = history
        .iter()
        .enumerate()
        .map(|(number, one)| HistoryRow {
            version: one.version.0,
            applied_at: one.applied_at.to_string(),
            refold: one.refold,
            changed: changes(number.checked_sub(1).and_then(|before| history.get(before)), one),
        })
        .collect();
    output.answer(&serde_json::json!({ "catalogs": rows }), |_| {
        let cells = rows.iter().map(|row| {
            let refold = if row.refold { "yes" } else { "" };
            [row.version.to_string(), row.applied_at.clone(), refold.to_owned(), row.changed.join(" ")]
        });
        table(&["VERSION", "APPLIED AT", "REFOLD", "CHANGED"], cells)
    })
}

/// Tables by name, added ones with a plus and dropped ones with a minus; `(catalog)` for what stands outside of tables.
fn changes(before: Option<&StoredCatalog>, after: &StoredCatalog) -> Vec<String> {
    let none = BTreeMap::new();
    let (was, is) = (before.map_or(&none, |before| &before.catalog.file.tables), &after.catalog.file.tables);
    let mut changed: Vec<String> =
        was.keys().filter(|name| !is.contains_key(*name)).map(|name| format!("-{name}")).collect();
    for (name, table) in is {
        match was.get(name) {
            None => changed.push(format!("+{name}")),
            Some(known) if known != table => changed.push(name.to_string()),
            Some(_) => {}
        }
    }
    let outside = |catalog: &Catalog| {
        (catalog.file.roles.clone(), catalog.file.clock_skew_s, catalog.file.manage_devices.clone())
    };
    if before.is_some_and(|before| outside(&before.catalog) != outside(&after.catalog)) {
        changed.push("(catalog)".to_owned());
    }
    changed
}

#[derive(Serialize)]
struct PreviewView<'a> {
    tables: BTreeMap<&'a TableName, TableView>,
    changed: u64,
    records: Vec<RecordView<'a>>,
}

/// Counts as they are and as they would be.
#[derive(Serialize, Default)]
struct TableView {
    changed: u64,
    records: [u64; 2],
    open_conflicts: [u64; 2],
    lost: [u64; 2],
}

#[derive(Serialize)]
struct RecordView<'a> {
    workspace: WorkspaceId,
    table: &'a TableName,
    scope: &'a str,
    record: &'a str,
    lives: [bool; 2],
    fields: Vec<FieldView<'a>>,
}

/// A side without the field has no member for it.
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

/// Says which records would have come out otherwise if `catalog` had held from the start.
pub(crate) async fn preview(
    store: &Store,
    global: &Global,
    output: &Output,
    (catalog, only, limit): (Catalog, Option<WorkspaceId>, usize),
) -> anyhow::Result<()> {
    let (projector, catalog) = (projector(store, global)?, Arc::new(catalog));
    let mut previews = Vec::new();
    for known in store.generations(only).await? {
        let taken: usize = previews.iter().map(|preview: &Preview| preview.changes.len()).sum();
        previews
            .push(projector.preview(known.live.workspace, Arc::clone(&catalog), limit.saturating_sub(taken)).await?);
    }
    let view = view_of(&previews);
    output.answer(&view, described)
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

fn described(view: &PreviewView<'_>) -> String {
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
        format!("\n{shown} of {} records are shown: --limit\n", view.changed)
    } else {
        String::new()
    };
    match view.changed {
        0 => format!("no record would come out otherwise\n\n{counts}"),
        _ => format!("{counts}\n{rows}{more}"),
    }
}
