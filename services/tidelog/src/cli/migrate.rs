//! `tidelog migrate`

use serde::Serialize;
use tidelog_postgres::migrate;

use super::Global;
use super::connect::for_server;
use super::output::Output;

#[derive(Serialize)]
struct Migrated {
    applied: Vec<&'static str>,
    schema_version: i32,
}

pub(crate) async fn run(global: &Global, output: &Output) -> anyhow::Result<()> {
    let connected = for_server(global).await?;
    let outcome = migrate(&connected.url).await;
    connected.close().await?;
    let outcome = outcome?;
    let migrated = Migrated { applied: outcome.applied, schema_version: outcome.version };
    output.answer(&migrated, |migrated| match migrated.applied.as_slice() {
        [] => format!("schema version {}, nothing to do", migrated.schema_version),
        applied => format!("schema version {}, applied {}", migrated.schema_version, applied.join(", ")),
    })
}
