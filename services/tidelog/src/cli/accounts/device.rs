//! `tidelog device`

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
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
    },
    /// Revoke one: its next push is refused at once, its reads within 5 seconds
    Revoke {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        /// The device's id
        device: String,
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
                let head = ["DEVICE", "NAME", "ROLE", "SCOPES", "LAST SEEN", "LAST SEQ", "BEHIND", "STATE"];
                output.answer(&list, |list| table(&head, list.devices.iter().map(cells)))
            }
            Self::Revoke { workspace, device } => {
                let workspace = workspace::find(store, &workspace).await?;
                let id = DeviceId::parse(&device)?;
                if !store.revoke_device(workspace, id, Runtime::default().clock.now()).await? {
                    bail!("there is no device {device} in this workspace: `tidelog device list` shows them");
                }
                output.answer(&serde_json::json!({"revoked": id}), |_| format!("revoked {id}"))
            }
        }
    }
}

fn cells(device: &DeviceView) -> [String; 8] {
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
