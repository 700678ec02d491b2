//! `tidelog verify`

use anyhow::bail;
use clap::Args;
use tidelog_gateway::Runtime;
use tidelog_postgres::Store;

use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::log::rebuild::{find, projector};
use crate::cli::output::{Output, table};

#[derive(Args)]
pub(crate) struct Verify {
    /// Only this workspace, by id or name
    #[arg(long)]
    workspace: Option<String>,
}

impl Verify {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, global, output).await).await
    }

    async fn run_with(self, store: &Store, global: &Global, output: &Output) -> anyhow::Result<()> {
        let only = find(store, self.workspace.as_deref()).await?;
        let projector = projector(store, global)?;
        let (mut verified, mut faults) = (Vec::new(), 0);
        for known in store.generations(only).await? {
            let one = projector.verify(known.live.workspace).await?;
            faults += one.faults.count;
            if one.faults.count == 0 {
                store.save_verified(one.workspace, one.generation, Runtime::default().clock.now()).await?;
            }
            verified.push(one);
        }
        let rows: Vec<_> = verified.iter().map(|one| {
            let digests: serde_json::Map<_, _> = one.tables.iter().map(|(name, digest)| {
                (name.to_string(), serde_json::json!({"records": digest.records, "digest": digest.to_string()}))
            }).collect();
            serde_json::json!({
                "workspace": one.workspace, "generation": one.generation, "head": one.head, "projected": one.position,
                "good": one.faults.count == 0, "faults": one.faults.count, "first_faults": one.faults.first, "digests": digests,
            })
        }).collect();
        output.answer(&serde_json::json!({ "workspaces": rows }), |_| {
            let digests = verified.iter().flat_map(|one| {
                one.tables.iter().map(|(name, digest)| {
                    [one.workspace.to_string(), name.to_string(), digest.records.to_string(), digest.to_string()]
                })
            });
            let mut text = table(&["WORKSPACE", "TABLE", "RECORDS", "DIGEST"], digests);
            let cells = verified.iter().map(|one| {
                let state =
                    if one.faults.count == 0 { "good".to_owned() } else { format!("{} faults", one.faults.count) };
                [one.workspace.to_string(), one.head.to_string(), one.position.to_string(), state]
            });
            text = format!("{text}\n{}", table(&["WORKSPACE", "LOG TO", "FOLDED TO", "STATE"], cells));
            let told = verified
                .iter()
                .flat_map(|one| one.faults.first.iter().map(|fault| [one.workspace.to_string(), fault.clone()]));
            match faults {
                0 => text,
                _ => format!("{text}\n{}", table(&["WORKSPACE", "FAULT"], told)),
            }
        })?;
        match faults {
            0 => Ok(()),
            _ => bail!(
                "{faults} faults were found: what is folded wrongly `tidelog rebuild` makes anew, a damaged log needs its backup"
            ),
        }
    }
}
