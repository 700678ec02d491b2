//! `tidelog rebuild`

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use prometheus::Registry;
use serde::Serialize;
use tidelog_core::ids::WorkspaceId;
use tidelog_gateway::Runtime;
use tidelog_postgres::{Generation, Generations, RebuildLock, Store, Wakeups};
use tidelog_projector::{Projector, RebuildProgress};

use crate::cli::accounts::workspace;
use crate::cli::connect::with_store_of;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};
use crate::cli::progress::shown;

/// Events of a step: more than of the server's, as nobody waits for one.
const STEP_EVENTS: usize = 4_000;

/// Connections of a rebuild: two workspaces side by side, each with one that writes, one that reads and one that swaps.
pub(crate) const POOL: usize = 8;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Rebuild {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only this workspace, by id or name
    #[arg(long)]
    workspace: Option<String>,
    /// Drop the older generation that is kept, if there is one
    #[arg(long)]
    replace: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Say which generations there are, and how far
    Status {
        /// Only this workspace, by id or name
        #[arg(long)]
        workspace: Option<String>,
    },
    /// Make the generation that is kept the live one again, at once
    Rollback {
        /// Only this workspace, by id or name
        #[arg(long)]
        workspace: Option<String>,
    },
    /// Drop the generation that is kept
    Drop {
        /// Only this workspace, by id or name
        #[arg(long)]
        workspace: Option<String>,
        /// Also one that is not finished, or was rolled back
        #[arg(long)]
        unfinished: bool,
    },
}

/// A workspace that was rebuilt.
#[derive(Serialize)]
pub(crate) struct Row {
    workspace: WorkspaceId,
    generation: i64,
    position: i64,
    refold: i64,
}

#[derive(Serialize)]
struct StatusRow {
    workspace: WorkspaceId,
    generation: i64,
    state: &'static str,
    position: i64,
    head: i64,
    refold: i64,
}

impl Rebuild {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store_of(global, POOL, async |store| self.run_with(store, global, output).await).await
    }

    async fn run_with(self, store: &Store, global: &Global, output: &Output) -> anyhow::Result<()> {
        match self.action {
            None => {
                let only = find(store, self.workspace.as_deref()).await?;
                let rows = rebuild(store, global, only, self.replace).await?;
                output.answer(&serde_json::json!({ "rebuilt": rows }), |_| rebuilt_table(&rows))
            }
            Some(Action::Status { workspace }) => {
                let only = find(store, workspace.as_deref()).await?;
                let rows: Vec<_> = store.generations(only).await?.iter().flat_map(status_rows).collect();
                output.answer(&serde_json::json!({ "generations": rows }), |_| {
                    let cells = rows.iter().map(|row| {
                        let numbers = [row.position, row.head, row.refold].map(|number| number.to_string());
                        let first = [row.workspace.to_string(), row.generation.to_string(), row.state.to_owned()];
                        first.into_iter().chain(numbers).collect::<Vec<_>>()
                    });
                    table(&["WORKSPACE", "GENERATION", "STATE", "FOLDED", "HEAD", "REFOLD"], cells)
                })
            }
            Some(Action::Rollback { workspace }) => {
                let only = find(store, workspace.as_deref()).await?;
                let lock = lock(store).await?;
                let back = store.roll_back(only).await?;
                lock.release().await?;
                if back.is_empty() {
                    bail!("no older generation is kept: `tidelog rebuild status` shows what there is");
                }
                let rows: Vec<_> =
                    back.iter().map(|(id, live)| serde_json::json!({"workspace": id, "generation": live})).collect();
                let refold = refold_is_due(store, only).await?;
                output.answer(&serde_json::json!({ "live": rows, "refold_due": refold }), |_| {
                    let cells = back.iter().map(|(id, live)| [id.to_string(), live.to_string()]);
                    let rows = table(&["WORKSPACE", "GENERATION"], cells);
                    if refold { format!("{rows}\n\n{REFOLD_DUE}") } else { rows }
                })
            }
            Some(Action::Drop { workspace, unfinished }) => {
                let only = find(store, workspace.as_deref()).await?;
                let lock = lock(store).await?;
                let of = |known: &Generations| known.kept().or(known.other.filter(|_| unfinished));
                let dropped: Vec<_> = store.generations(only).await?.iter().filter_map(of).collect();
                store.drop_generations(&dropped).await?;
                lock.release().await?;
                output
                    .answer(&serde_json::json!({ "dropped": dropped.len() }), |_| format!("dropped {}", dropped.len()))
            }
        }
    }
}

/// What a rollback does not undo.
const REFOLD_DUE: &str = "the log still asks for a refold: the next rebuild makes its records again, and replicas that fold \
    themselves wait for that. `tidelog catalog rollback --refold` takes its rules back";

/// Whether some log asks for a refold that its live records do not hold.
async fn refold_is_due(store: &Store, only: Option<WorkspaceId>) -> anyhow::Result<bool> {
    for known in store.generations(only).await? {
        let newest = store.newest_refold(known.live.workspace).await?;
        if newest > known.live.checkpoint.refold_position {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the records of a workspace, or of all, anew and swaps them.
async fn rebuild(store: &Store, global: &Global, only: Option<WorkspaceId>, replace: bool) -> anyhow::Result<Vec<Row>> {
    let lock = lock(store).await?;
    refuse_kept(store, only, replace).await?;
    rebuild_under(lock, store, global, only).await
}

/// The same for whoever has the lock and has seen that nothing is kept that is not to go.
pub(crate) async fn rebuild_under(
    lock: RebuildLock,
    store: &Store,
    global: &Global,
    only: Option<WorkspaceId>,
) -> anyhow::Result<Vec<Row>> {
    let known = store.generations(only).await?;
    let kept: Vec<_> = known.iter().filter_map(Generations::kept).collect();
    store.drop_generations(&kept).await?;
    if store.catalog_in_force().await?.is_some_and(|in_force| in_force.refold) {
        // Whoever asked for the refold may have been cut short before every log had it.
        for known in &known {
            store.append_catalog(known.live.workspace, Runtime::default().clock.now()).await?;
        }
    }
    let workspaces: Vec<_> = known.iter().map(|known| known.live.workspace).collect();
    let projector = projector(store, global)?;
    let progress = Arc::new(RebuildProgress::default());
    let rebuilt = shown(&progress, projector.rebuild(&workspaces, &progress)).await;
    let rebuilt = rebuilt.context("what is made so far stays, and `tidelog rebuild` goes on from there")?;
    lock.release().await?;
    let rows = rebuilt.into_iter().map(|done| Row {
        workspace: done.workspace,
        generation: done.generation,
        position: done.position.0,
        refold: done.refold.0,
    });
    Ok(rows.collect())
}

/// Sees that there is room for the next generation: both table sets are in use while an older one is kept.
pub(crate) async fn refuse_kept(store: &Store, only: Option<WorkspaceId>, replace: bool) -> anyhow::Result<()> {
    let known = store.generations(only).await?;
    let kept = known.iter().find_map(Generations::kept).filter(|_| !replace);
    let Some(one) = kept else { return Ok(()) };
    bail!(
        "generation {} of workspace {} is kept from before: `tidelog rebuild drop` drops it, or pass --replace",
        one.checkpoint.generation,
        one.workspace
    );
}

pub(crate) fn rebuilt_table(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        [row.workspace.to_string(), row.generation.to_string(), row.position.to_string(), row.refold.to_string()]
    });
    table(&["WORKSPACE", "GENERATION", "SWAPPED AT", "REFOLD"], cells)
}

/// The projector's code, with nobody to tell.
pub(crate) fn projector(store: &Store, global: &Global) -> anyhow::Result<Projector> {
    let projector = Projector::new(store.clone(), Arc::new(Wakeups::new(false, false)), &Registry::new())?;
    Ok(projector.with_resolvers(global.resolvers.clone()).with_step_events(STEP_EVENTS))
}

pub(crate) async fn find(store: &Store, id_or_name: Option<&str>) -> anyhow::Result<Option<WorkspaceId>> {
    match id_or_name {
        Some(name) => Ok(Some(workspace::find(store, name).await?)),
        None => Ok(None),
    }
}

pub(crate) async fn lock(store: &Store) -> anyhow::Result<RebuildLock> {
    store.lock_rebuilds().await?.context("another `tidelog rebuild` is under way on this database: wait for its end")
}

fn status_rows(known: &Generations) -> Vec<StatusRow> {
    let row = |one: &Generation, state| StatusRow {
        workspace: one.workspace,
        generation: one.checkpoint.generation,
        state,
        position: one.checkpoint.position.0,
        head: one.head.0,
        refold: one.checkpoint.refold_position.0,
    };
    let mut rows = vec![row(&known.live, "live")];
    rows.extend(known.building().map(|one| row(&one, "unfinished")));
    rows.extend(known.kept().map(|one| row(&one, "kept")));
    rows
}
