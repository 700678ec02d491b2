//! `tidelog migrate`

use serde::Serialize;
use tidelog_postgres::{Durability, MigrateOutcome, migrate, views};

use crate::cli::connect::for_server;
use crate::cli::global::Global;
use crate::cli::output::Output;

#[derive(Serialize)]
struct Migrated {
    applied: Vec<&'static str>,
    schema_version: i32,
}

/// A database that could not be served is not written to either; whether it is durable is for `serve` to ask.
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
    let migrated = Migrated { applied: outcome.applied, schema_version: outcome.version };
    output.answer(&migrated, |migrated| match migrated.applied.as_slice() {
        [] => format!("schema version {}, nothing to do", migrated.schema_version),
        applied => format!("schema version {}, applied {}", migrated.schema_version, applied.join(", ")),
    })
}
