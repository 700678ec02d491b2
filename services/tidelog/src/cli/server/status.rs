//! `tidelog status`: how far the log and the records of each workspace are.

use serde::Serialize;
use tidelog_core::ids::WorkspaceId;

use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

/// The result, as JSON.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    catalog: Option<i64>,
    workspaces: Vec<WorkspaceStatus>,
}

#[derive(Serialize)]
struct WorkspaceStatus {
    workspace: WorkspaceId,
    name: String,
    devices: i64,
    head: i64,
    projected: i64,
    /// Events that are not folded yet.
    lag: i64,
}

pub(crate) async fn run(global: &Global, output: &Output) -> anyhow::Result<()> {
    let status = with_store(global, async |store| {
        let catalog = store.catalog_in_force().await?.map(|in_force| in_force.version.0);
        let rows = store.workspaces().await?.into_iter().map(|row| WorkspaceStatus {
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
    output.print(&status?, |status| {
        let catalog = status.catalog.map_or("none".to_owned(), |version| version.to_string());
        let header = ["WORKSPACE", "NAME", "DEVICES", "HEAD", "PROJECTED", "LAG"];
        let cells = status.workspaces.iter().map(|row| {
            let numbers = [row.devices, row.head, row.projected, row.lag].map(|number| number.to_string());
            [row.workspace.to_string(), row.name.clone()].into_iter().chain(numbers).collect::<Vec<_>>()
        });
        format!("tidelog {}, catalog {catalog}\n\n{}", status.version, table(&header, cells))
    })
}
