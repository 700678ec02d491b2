//! `tidelog workspace`: creates and lists workspaces, and finds one for other commands.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_gateway::{Runtime, create_workspace};
use tidelog_postgres::{HeadNotice, Store};

use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Workspace {
    /// Create a workspace, with an enrollment key for each role of the catalog
    Create {
        /// Name of the workspace, for people; it need not be unique
        name: String,
    },
    /// List the workspaces
    List,
}

/// A workspace, as JSON.
#[derive(Serialize)]
struct WorkspaceRow {
    workspace: WorkspaceId,
    name: String,
    created_at: String,
    head: i64,
    projected: i64,
    devices: i64,
}

impl Workspace {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Create { name } => {
                let in_force = store.catalog_in_force().await?;
                let in_force = in_force.context("no catalog is in force: `tidelog catalog apply FILE` first")?;
                let created = create_workspace(store, &Runtime::default(), &in_force.catalog, &name).await?;
                output.print(&created, |created| {
                    let keys = created.keys.iter().map(|(role, key)| [role.to_string(), key.clone()]);
                    let keys = table(&["ROLE", "ENROLLMENT KEY (not shown again)"], keys);
                    format!("workspace {}\n\n{keys}", created.workspace)
                })
            }
            Self::List => {
                let rows = store.workspaces().await?.into_iter().map(|row| WorkspaceRow {
                    workspace: row.workspace,
                    name: row.name,
                    created_at: row.created_at.to_string(),
                    head: row.head.0,
                    projected: row.projected.0,
                    devices: row.devices,
                });
                output.print(&rows.collect::<Vec<_>>(), |rows| {
                    let cells = rows.iter().map(|row| {
                        [
                            row.workspace.to_string(),
                            row.name.clone(),
                            row.created_at.clone(),
                            row.devices.to_string(),
                            row.head.to_string(),
                        ]
                    });
                    table(&["WORKSPACE", "NAME", "CREATED", "DEVICES", "HEAD"], cells)
                })
            }
        }
    }
}

/// Wakes the servers that fold or wait for a log, after a command has appended to it up to `head`.
pub(crate) async fn notify_appended(store: &Store, workspace: WorkspaceId, head: Position) {
    if let Err(error) = store.notify(&[HeadNotice::Appended(workspace, head, String::new())]).await {
        tracing::debug!(%error, "the servers were not notified; they find the event when they poll");
    }
}

/// The workspace with an id or a name.
pub(crate) async fn find(store: &Store, id_or_name: &str) -> anyhow::Result<WorkspaceId> {
    let rows = store.workspaces().await?;
    // Ids first: an id is unique, even if another workspace has it as its name.
    if let Some(row) = rows.iter().find(|row| row.workspace.to_string().eq_ignore_ascii_case(id_or_name)) {
        return Ok(row.workspace);
    }
    let found: Vec<_> = rows.iter().filter(|row| row.name == id_or_name).collect();
    match found.as_slice() {
        [row] => Ok(row.workspace),
        [] => bail!("there is no workspace {id_or_name:?}: `tidelog workspace list` shows all"),
        _ => bail!("several workspaces are named {id_or_name:?}: pass an id, which `tidelog workspace list` shows"),
    }
}

/// The workspace of an optional `--workspace`; `None` for all workspaces.
pub(crate) async fn find_optional(store: &Store, id_or_name: Option<&str>) -> anyhow::Result<Option<WorkspaceId>> {
    match id_or_name {
        Some(id_or_name) => Ok(Some(find(store, id_or_name).await?)),
        None => Ok(None),
    }
}
