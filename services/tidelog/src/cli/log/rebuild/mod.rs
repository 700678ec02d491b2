//! `tidelog rebuild`: rebuilds records from the log, and shows, rolls back and drops generations.

pub(crate) mod run;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{Generation, Generations, Store};

use crate::cli::accounts::workspace::find_optional;
use crate::cli::connect::with_store_of;
use crate::cli::global::Global;
use crate::cli::log::rebuild::run::{REBUILD_CONNECTIONS_MAX, lock, lock_for_rebuild, rebuild, rebuilt_table};
use crate::cli::output::{Output, table};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Rebuild {
    #[command(subcommand)]
    action: Option<Action>,
    /// Id or name of the only workspace to rebuild [default: all]
    #[arg(long)]
    workspace: Option<String>,
    /// Drop the older generation that is kept, if there is one
    #[arg(long)]
    replace: bool,
}

#[derive(Subcommand)]
enum Action {
    /// List the generations, and how far each is folded
    Status {
        /// Id or name of the only workspace to list [default: all]
        #[arg(long)]
        workspace: Option<String>,
    },
    /// Make the older generation, which is kept, the live one again at once
    Rollback {
        /// Id or name of the only workspace to roll back [default: all]
        #[arg(long)]
        workspace: Option<String>,
    },
    /// Drop the older generation, which is kept
    Drop {
        /// Id or name of the only workspace whose generation to drop [default: all]
        #[arg(long)]
        workspace: Option<String>,
        /// Drop a generation that is not finished, or was rolled back, instead
        #[arg(long)]
        unfinished: bool,
    },
}

/// A generation of a workspace, as JSON.
#[derive(Serialize)]
struct GenerationRow {
    workspace: WorkspaceId,
    generation: i64,
    /// `live`, `unfinished` or `kept`.
    state: &'static str,
    /// The last event that is folded.
    position: i64,
    /// The last event of the log.
    head: i64,
    refold: i64,
}

impl Rebuild {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        let work = async |store: &Store| match &self.action {
            None => {
                let only = find_optional(store, self.workspace.as_deref()).await?;
                let lock = lock_for_rebuild(store, only, self.replace).await?;
                let rows = rebuild(lock, store, global, only).await?;
                output.print(&serde_json::json!({ "rebuilt": rows }), |_| rebuilt_table(&rows))
            }
            Some(Action::Status { workspace }) => {
                print_status(store, output, find_optional(store, workspace.as_deref()).await?).await
            }
            Some(Action::Rollback { workspace }) => {
                roll_back(store, output, find_optional(store, workspace.as_deref()).await?).await
            }
            Some(Action::Drop { workspace, unfinished }) => {
                drop_other(store, output, find_optional(store, workspace.as_deref()).await?, *unfinished).await
            }
        };
        with_store_of(global, REBUILD_CONNECTIONS_MAX, work).await
    }
}

async fn print_status(store: &Store, output: &Output, only: Option<WorkspaceId>) -> anyhow::Result<()> {
    let rows: Vec<_> = store.generations(only).await?.iter().flat_map(generation_rows).collect();
    output.print(&serde_json::json!({ "generations": rows }), |_| {
        let cells = rows.iter().map(|row| {
            let numbers = [row.position, row.head, row.refold].map(|number| number.to_string());
            let first = [row.workspace.to_string(), row.generation.to_string(), row.state.to_owned()];
            first.into_iter().chain(numbers).collect::<Vec<_>>()
        });
        table(&["WORKSPACE", "GENERATION", "STATE", "FOLDED", "HEAD", "REFOLD"], cells)
    })
}

/// The generations of a workspace, the live one first.
fn generation_rows(generations: &Generations) -> Vec<GenerationRow> {
    let row = |generation: &Generation, state| GenerationRow {
        workspace: generation.workspace,
        generation: generation.checkpoint.generation,
        state,
        position: generation.checkpoint.position.0,
        head: generation.head.0,
        refold: generation.checkpoint.refold_position.0,
    };
    let mut rows = vec![row(&generations.live, "live")];
    rows.extend(generations.building().map(|building| row(&building, "unfinished")));
    rows.extend(generations.kept().map(|kept| row(&kept, "kept")));
    rows
}

/// What a rollback does not undo.
const REFOLD_DUE: &str = "the log still asks for a refold: the next rebuild folds by its rules again, and clients that fold \
    themselves wait until then. To take the rules back, run `tidelog catalog rollback --refold`";

async fn roll_back(store: &Store, output: &Output, only: Option<WorkspaceId>) -> anyhow::Result<()> {
    let lock = lock(store).await?;
    let live = store.roll_back(only).await?;
    lock.release().await?;
    if live.is_empty() {
        bail!("no older generation is kept: `tidelog rebuild status` shows the generations");
    }
    let rows: Vec<_> = live
        .iter()
        .map(|(workspace, generation)| serde_json::json!({"workspace": workspace, "generation": generation}))
        .collect();
    let is_refold_due = is_refold_due(store, only).await?;
    output.print(&serde_json::json!({ "live": rows, "refold_due": is_refold_due }), |_| {
        let cells = live.iter().map(|(workspace, generation)| [workspace.to_string(), generation.to_string()]);
        let rows = table(&["WORKSPACE", "GENERATION"], cells);
        if is_refold_due { format!("{rows}\n\n{REFOLD_DUE}") } else { rows }
    })
}

/// Whether a log asks for a refold that its live records are not folded by.
async fn is_refold_due(store: &Store, only: Option<WorkspaceId>) -> anyhow::Result<bool> {
    for generations in store.generations(only).await? {
        let newest = store.newest_refold(generations.live.workspace).await?;
        if newest > generations.live.checkpoint.refold_position {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Drops the generations that are kept, or with `unfinished` the other ones that are not live.
async fn drop_other(store: &Store, output: &Output, only: Option<WorkspaceId>, unfinished: bool) -> anyhow::Result<()> {
    let lock = lock(store).await?;
    let to_drop = |generations: &Generations| match unfinished {
        true => generations.building(),
        false => generations.kept(),
    };
    let dropped: Vec<_> = store.generations(only).await?.iter().filter_map(to_drop).collect();
    store.drop_generations(&dropped).await?;
    lock.release().await?;
    let count = dropped.len();
    output.print(&serde_json::json!({ "dropped": count }), |_| format!("dropped {count}"))
}
