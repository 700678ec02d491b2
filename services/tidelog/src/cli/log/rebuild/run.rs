//! Runs a rebuild, for `tidelog rebuild` and for a catalog that is applied with `--refold`.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use tidelog_core::ids::WorkspaceId;
use tidelog_gateway::Runtime;
use tidelog_postgres::{Generations, RebuildLock, Store};
use tidelog_projector::RebuildProgress;

use crate::cli::global::Global;
use crate::cli::log::projector::projector;
use crate::cli::output::table;
use crate::cli::progress::with_progress;

/// Database connections of a rebuild: two workspaces concurrently, each with one that writes, one that reads and one that
/// swaps, and two to spare.
pub(crate) const REBUILD_CONNECTIONS_MAX: usize = 8;

/// A rebuilt workspace, as JSON.
#[derive(Serialize)]
pub(crate) struct RebuiltRow {
    workspace: WorkspaceId,
    /// The new live generation.
    generation: i64,
    /// The checkpoint at which it went live.
    position: i64,
    /// Position of the `_catalog` event whose rules hold from position 1 on; 0 if each event has the rules of its time.
    refold: i64,
}

/// Takes the lock of rebuilds, which lets one process at a time build or drop generations.
pub(crate) async fn lock(store: &Store) -> anyhow::Result<RebuildLock> {
    store
        .lock_rebuilds()
        .await?
        .context("another `tidelog rebuild` is running on this database: wait until it has ended")
}

/// Takes the lock for a rebuild, unless [`refuse_kept`] refuses it. The lock is released then, so that the next command does
/// not find it taken until Postgres has noticed that this process has ended.
pub(crate) async fn lock_for_rebuild(
    store: &Store,
    only: Option<WorkspaceId>,
    replace: bool,
) -> anyhow::Result<RebuildLock> {
    let lock = lock(store).await?;
    match refuse_kept(store, only, replace).await {
        Ok(()) => Ok(lock),
        Err(refused) => {
            lock.release().await?;
            Err(refused)
        }
    }
}

/// Fails if a workspace keeps an older generation and `replace` does not allow to drop it. While one is kept, both table
/// sets are in use, and the next generation has no place.
async fn refuse_kept(store: &Store, only: Option<WorkspaceId>, replace: bool) -> anyhow::Result<()> {
    let generations = store.generations(only).await?;
    let Some(kept) = generations.iter().find_map(Generations::kept).filter(|_| !replace) else { return Ok(()) };
    bail!(
        "workspace {} keeps generation {}, which occupies the place of the next: drop it by `tidelog rebuild drop` or by \
         --replace",
        kept.workspace,
        kept.checkpoint.generation
    );
}

/// Rebuilds one workspace or all, and drops the generations that they keep; [`lock_for_rebuild`] comes before.
pub(crate) async fn rebuild(
    lock: RebuildLock,
    store: &Store,
    global: &Global,
    only: Option<WorkspaceId>,
) -> anyhow::Result<Vec<RebuiltRow>> {
    let generations = store.generations(only).await?;
    let kept: Vec<_> = generations.iter().filter_map(Generations::kept).collect();
    store.drop_generations(&kept).await?;
    let workspaces: Vec<_> = generations.iter().map(|generations| generations.live.workspace).collect();
    if store.catalog_in_force().await?.is_some_and(|in_force| in_force.refold) {
        // The command that asked for the refold may have been killed before the event was in every log.
        for workspace in &workspaces {
            store.append_catalog(*workspace, Runtime::default().clock.now()).await?;
        }
    }
    let projector = projector(store, global)?;
    let progress = Arc::new(RebuildProgress::default());
    let rebuilt = with_progress(&progress, projector.rebuild(&workspaces, &progress)).await;
    let rebuilt = rebuilt.context("the rebuild stopped, and `tidelog rebuild` continues from where it is")?;
    lock.release().await?;
    let rows = rebuilt.into_iter().map(|rebuilt| RebuiltRow {
        workspace: rebuilt.workspace,
        generation: rebuilt.generation,
        position: rebuilt.position.0,
        refold: rebuilt.refold.0,
    });
    Ok(rows.collect())
}

/// Rebuilt workspaces as a table for people.
pub(crate) fn rebuilt_table(rows: &[RebuiltRow]) -> String {
    let cells = rows.iter().map(|row| {
        [row.workspace.to_string(), row.generation.to_string(), row.position.to_string(), row.refold.to_string()]
    });
    table(&["WORKSPACE", "GENERATION", "SWAPPED AT", "REFOLD"], cells)
}
