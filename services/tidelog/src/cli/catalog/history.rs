//! `tidelog catalog history`: lists all catalogs that were ever in force, and what each changed.

use std::collections::BTreeMap;

use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_postgres::{Store, StoredCatalog};

use crate::cli::output::{Output, table};

/// A catalog that was in force, as JSON.
#[derive(Serialize)]
struct HistoryRow {
    version: i64,
    applied_at: String,
    refold: bool,
    /// What it changed, see [`changes`].
    changed: Vec<String>,
}

/// Prints all catalogs that were ever in force.
pub(crate) async fn print_history(store: &Store, output: &Output) -> anyhow::Result<()> {
    let history = store.catalog_history().await?;
    let rows: Vec<_> = history
        .iter()
        .enumerate()
        .map(|(number, catalog)| HistoryRow {
            version: catalog.version.0,
            applied_at: catalog.applied_at.to_string(),
            refold: catalog.refold,
            changed: changes(number.checked_sub(1).and_then(|before| history.get(before)), catalog),
        })
        .collect();
    output.print(&serde_json::json!({ "catalogs": rows }), |_| {
        let cells = rows.iter().map(|row| {
            let refold = if row.refold { "yes" } else { "" };
            [row.version.to_string(), row.applied_at.clone(), refold.to_owned(), row.changed.join(" ")]
        });
        table(&["VERSION", "APPLIED AT", "REFOLD", "CHANGED"], cells)
    })
}

/// The names of changed tables, of added ones with a plus, of dropped ones with a minus, and `(catalog)` for a change
/// outside of the tables.
fn changes(before: Option<&StoredCatalog>, after: &StoredCatalog) -> Vec<String> {
    let none = BTreeMap::new();
    let tables_before = before.map_or(&none, |before| &before.catalog.file.tables);
    let tables_after = &after.catalog.file.tables;
    let dropped = tables_before.keys().filter(|name| !tables_after.contains_key(*name));
    let mut changed: Vec<String> = dropped.map(|name| format!("-{name}")).collect();
    for (name, table) in tables_after {
        match tables_before.get(name) {
            None => changed.push(format!("+{name}")),
            Some(known) if known != table => changed.push(name.to_string()),
            Some(_) => {}
        }
    }
    let outside_of_tables = |catalog: &Catalog| {
        (catalog.file.roles.clone(), catalog.file.clock_skew_s, catalog.file.manage_devices.clone())
    };
    if before.is_some_and(|before| outside_of_tables(&before.catalog) != outside_of_tables(&after.catalog)) {
        changed.push("(catalog)".to_owned());
    }
    changed
}
