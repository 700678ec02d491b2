//! `tidelog verify`: checks the log, and compares everything stored with what the log folds to.

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, json};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_gateway::Runtime;
use tidelog_postgres::Store;
use tidelog_projector::VerifyReport;

use crate::cli::accounts::workspace::find_optional;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::log::projector::projector;
use crate::cli::output::{Output, table};

#[derive(Args)]
pub(crate) struct Verify {
    /// Id or name of the only workspace to verify [default: all]
    #[arg(long)]
    workspace: Option<String>,
}

/// What was found in a workspace, as JSON.
#[derive(Serialize)]
struct WorkspaceReport<'a> {
    workspace: WorkspaceId,
    generation: i64,
    head: Position,
    projected: Position,
    good: bool,
    faults: u64,
    first_faults: &'a [String],
    /// Live records and digest of each table.
    digests: Map<String, serde_json::Value>,
}

impl Verify {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, global, output).await).await
    }

    async fn run_with(&self, store: &Store, global: &Global, output: &Output) -> anyhow::Result<()> {
        let only = find_optional(store, self.workspace.as_deref()).await?;
        let projector = projector(store, global)?;
        let mut reports = Vec::new();
        for generations in store.generations(only).await? {
            let report = projector.verify(generations.live.workspace).await?;
            if report.faults.count == 0 {
                let now = Runtime::default().clock.now();
                store.save_verified(report.workspace, report.generation, now).await?;
            }
            reports.push(report);
        }
        let rows: Vec<_> = reports.iter().map(workspace_report).collect();
        output.print(&json!({ "workspaces": rows }), |_| tables(&reports))?;
        match reports.iter().map(|report| report.faults.count).sum::<u64>() {
            0 => Ok(()),
            faults => bail!(
                "found {faults} faults: `tidelog rebuild` mends records that differ from the log; a damaged log has to be \
                 restored from a backup"
            ),
        }
    }
}

fn workspace_report(report: &VerifyReport) -> WorkspaceReport<'_> {
    let digests = report
        .tables
        .iter()
        .map(|(name, digest)| (name.to_string(), json!({"records": digest.records, "digest": digest.to_string()})));
    WorkspaceReport {
        workspace: report.workspace,
        generation: report.generation,
        head: report.head,
        projected: report.position,
        good: report.faults.count == 0,
        faults: report.faults.count,
        first_faults: &report.faults.first,
        digests: digests.collect(),
    }
}

/// Digests, workspaces and faults as tables for people.
fn tables(reports: &[VerifyReport]) -> String {
    let digests = reports.iter().flat_map(|report| {
        report.tables.iter().map(|(name, digest)| {
            [report.workspace.to_string(), name.to_string(), digest.records.to_string(), digest.to_string()]
        })
    });
    let states = reports.iter().map(|report| {
        let state = match report.faults.count {
            0 => "good".to_owned(),
            faults => format!("{faults} faults"),
        };
        [report.workspace.to_string(), report.head.to_string(), report.position.to_string(), state]
    });
    let digests = table(&["WORKSPACE", "TABLE", "RECORDS", "DIGEST"], digests);
    let states = table(&["WORKSPACE", "LOG TO", "FOLDED TO", "STATE"], states);
    if reports.iter().all(|report| report.faults.count == 0) {
        return format!("{digests}\n{states}");
    }
    let faults = reports
        .iter()
        .flat_map(|report| report.faults.first.iter().map(|fault| [report.workspace.to_string(), fault.clone()]));
    format!("{digests}\n{states}\n{}", table(&["WORKSPACE", "FAULT"], faults))
}
