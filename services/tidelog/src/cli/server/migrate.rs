//! `tidelog migrate`: brings the schema up to date, and the SQL views to the catalog in force.

use serde::Serialize;
use tidelog_postgres::{Durability, MigrateOutcome, migrate, views};

use crate::cli::connect::for_server;
use crate::cli::global::Global;
use crate::cli::output::Output;

/// The result, as JSON.
#[derive(Serialize)]
struct MigrateResult {
    applied: Vec<&'static str>,
    schema_version: i32,
}

/// Migrates unless `serve` would refuse the database. Settings that lose edits in a crash are left for `serve` to refuse,
/// since it has the option that allows them.
async fn migrate_checked(url: &str) -> anyhow::Result<MigrateOutcome> {
    Durability::of(url).await?.check(true)?;
    let outcome = migrate(url).await?;
    views::apply(url).await?;
    Ok(outcome)
}

pub(crate) async fn run(global: &Global, output: &Output) -> anyhow::Result<()> {
    let connected = for_server(global).await?;
    let outcome = migrate_checked(&connected.url).await;
    connected.close().await?;
    let outcome = outcome?;
    let result = MigrateResult { applied: outcome.applied, schema_version: outcome.version };
    output.print(&result, |result| match result.applied.as_slice() {
        [] => format!("schema version {}: nothing to do", result.schema_version),
        applied => format!("schema version {}: applied {}", result.schema_version, applied.join(", ")),
    })
}
