//! `tidelog migrate`: brings the schema up to date, and the SQL views to the catalog in force.

use serde::Serialize;
use tidelog_postgres::views::{self, ViewsOutcome};
use tidelog_postgres::{Durability, MigrateOutcome, migrate};

use crate::cli::connect::for_server;
use crate::cli::global::Global;
use crate::cli::output::Output;

/// The result, as JSON.
#[derive(Serialize)]
struct MigrateResult {
    applied: Vec<&'static str>,
    schema_version: i32,
    /// What was skipped, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'static str>,
}

/// Migrates unless `serve` would refuse the database. Settings that lose edits in a crash are left for `serve` to refuse,
/// since it has the option that allows them.
async fn migrate_checked(url: &str) -> anyhow::Result<(MigrateOutcome, ViewsOutcome)> {
    Durability::of(url).await?.check(true)?;
    let outcome = migrate(url).await?;
    let views = views::apply(url).await?;
    Ok((outcome, views))
}

pub(crate) async fn run(global: &Global, output: &Output) -> anyhow::Result<()> {
    let connected = for_server(global).await?;
    let outcome = migrate_checked(&connected.url).await;
    connected.close().await?;
    let (outcome, views) = outcome?;
    let result = MigrateResult { applied: outcome.applied, schema_version: outcome.version, skipped: views.advice() };
    output.print(&result, |result| {
        let done = match result.applied.as_slice() {
            [] => "nothing to do".to_owned(),
            applied => format!("applied {}", applied.join(", ")),
        };
        let skipped = result.skipped.map(|skipped| format!("\nskipped: {skipped}")).unwrap_or_default();
        format!("schema version {}: {done}{skipped}", result.schema_version)
    })
}
