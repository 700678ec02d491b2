//! `tidelog status`

use serde::Serialize;
use tidelog_core::ids::WorkspaceId;

use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

#[derive(Serialize)]
struct Status {
    version: &'static str,
    catalog: Option<i64>,
    workspaces: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    workspace: WorkspaceId,
    name: String,
    devices: i64,
    head: i64,
    projected: i64,
    lag: i64,
}

pub(crate) async fn run(global: &Global, output: &Output) -> anyhow::Result<()> {
    let status = with_store(global, async |store| {
        let catalog = store.catalog_in_force().await?.map(|in_force| in_force.version.0);
        let rows = store.workspaces().await?.into_iter().map(|row| Row {
            workspace: row.workspace,
            name: row.name,
            devices: row.devices,
            head: row.head.0,
            projected: row.projected.0,
            lag: row.head.0 - row.projected.0,
        });
        Ok(Status { version: env!("CARGO_PKG_VERSION"), catalog, workspaces: rows.collect() })
    });
    let status = status.await;
    output.answer(&status?, |status| {
        let catalog = status.catalog.map_or("none".to_owned(), |version| version.to_string());
        let head = ["WORKSPACE", "NAME", "DEVICES", "HEAD", "PROJECTED", "LAG"];
        let cells = status.workspaces.iter().map(|row| {
            let numbers = [row.devices, row.head, row.projected, row.lag].map(|number| number.to_string());
            [row.workspace.to_string(), row.name.clone()].into_iter().chain(numbers).collect::<Vec<_>>()
        });
        format!("tidelog {}, catalog {catalog}\n\n{}", status.version, table(&head, cells))
    })
}
