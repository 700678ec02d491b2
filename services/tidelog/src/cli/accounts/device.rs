//! `tidelog device`: lists and revokes the devices of a workspace.

use anyhow::bail;
use clap::Subcommand;
use tidelog_core::ids::DeviceId;
use tidelog_core::wire::{DeviceList, DeviceView};
use tidelog_gateway::Runtime;
use tidelog_postgres::Store;

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
}

impl Device {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { workspace } => {
                let workspace = workspace::find(store, &workspace).await?;
                let list = DeviceList { devices: store.devices(workspace, None).await? };
                let header = ["DEVICE", "NAME", "ROLE", "SCOPES", "LAST SEEN", "LAST SEQ", "BEHIND", "STATE"];
                output.print(&list, |list| table(&header, list.devices.iter().map(device_cells)))
            }
            Self::Revoke { workspace, device } => {
                let workspace = workspace::find(store, &workspace).await?;
                if !store.revoke_device(workspace, device, Runtime::default().clock.now()).await? {
                    bail!("there is no device {device} in this workspace: `tidelog device list` shows its devices");
                }
                output.print(&serde_json::json!({"revoked": device}), |_| format!("revoked {device}"))
            }
        }
    }
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
