//! `tidelog device`: lists, changes and revokes the devices of a workspace.

use anyhow::bail;
use clap::Subcommand;
use tidelog_core::ids::{DeviceId, Role, Scopes};
use tidelog_core::limits::NAME_BYTES_MAX;
use tidelog_core::wire::{DeviceList, DevicePatch, DeviceView};
use tidelog_gateway::Runtime;
use tidelog_postgres::{ChangeOutcome, Store};

use crate::cli::accounts::key::role_of_catalog;
use crate::cli::accounts::workspace;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Device {
    /// List the devices of a workspace
    List {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
    },
    /// Revoke a device: pushes are refused from now on, reads within 5 seconds
    Revoke {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Id of the device
        #[arg(value_parser = |text: &str| DeviceId::parse(text))]
        device: DeviceId,
    },
    /// Change the name, role or scopes of a device: from a place in the log on, and for its pushes within 5 seconds
    Set {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Id of the device
        #[arg(value_parser = |text: &str| DeviceId::parse(text))]
        device: DeviceId,
        /// Its name, for people
        #[arg(long)]
        name: Option<String>,
        /// Its role, one of the catalog's
        #[arg(long, value_parser = |text: &str| Role::parse(text))]
        role: Option<Role>,
        /// A scope that it may use beside the empty one, or * for all; may be given several times, and replaces the scopes
        /// that it has. An empty scope alone takes all away
        #[arg(long)]
        scope: Vec<String>,
    },
}

const HEADER: [&str; 8] = ["DEVICE", "NAME", "ROLE", "SCOPES", "LAST SEEN", "LAST SEQ", "BEHIND", "STATE"];

impl Device {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { workspace } => {
                let workspace = workspace::find(store, &workspace).await?;
                let list = DeviceList { devices: store.devices(workspace, None).await? };
                output.print(&list, |list| table(&HEADER, list.devices.iter().map(device_cells)))
            }
            Self::Revoke { workspace, device } => {
                let workspace = workspace::find(store, &workspace).await?;
                let outcome = store.revoke_device(workspace, device, Runtime::default().clock.now()).await?;
                check_is_known(outcome, device)?;
                output.print(&serde_json::json!({"revoked": device}), |_| format!("revoked {device}"))
            }
            Self::Set { workspace, device, name, role, scope } => {
                let workspace = workspace::find(store, &workspace).await?;
                let patch = DevicePatch {
                    name,
                    role: match role {
                        Some(role) => Some(role_of_catalog(store, role).await?),
                        None => None,
                    },
                    scopes: (!scope.is_empty()).then(|| Scopes::parse(&scope)).transpose()?,
                };
                patch.name.as_deref().map_or(Ok(()), check_name)?;
                let outcome = store.change_device(workspace, device, &patch, Runtime::default().clock.now()).await?;
                check_is_known(outcome, device)?;
                let list = DeviceList { devices: store.devices(workspace, Some(device)).await? };
                output.print(&list, |list| table(&HEADER, list.devices.iter().map(device_cells)))
            }
        }
    }
}

fn check_is_known(outcome: ChangeOutcome, device: DeviceId) -> anyhow::Result<()> {
    match outcome {
        ChangeOutcome::Changed(_) => Ok(()),
        ChangeOutcome::Unknown => {
            bail!("there is no device {device} in this workspace: `tidelog device list` shows its devices")
        }
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        bail!("a name has 1 to {NAME_BYTES_MAX} bytes");
    }
    Ok(())
}

fn device_cells(device: &DeviceView) -> [String; 8] {
    [
        device.device.to_string(),
        device.name.clone(),
        device.role.to_string(),
        device.scopes.to_list().join(" "),
        device.last_seen_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        device.last_seq.to_string(),
        device.behind.to_string(),
        if device.revoked { "revoked" } else { "active" }.to_owned(),
    ]
}
