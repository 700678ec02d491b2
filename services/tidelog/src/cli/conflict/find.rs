//! Finds a conflict by its id.

use anyhow::Context;
use tidelog_core::ids::{ConflictId, WorkspaceId};
use tidelog_core::wire::ConflictView;
use tidelog_postgres::Store;

/// The conflict with an id, or an error that names the command that lists them.
pub(crate) async fn find(store: &Store, workspace: WorkspaceId, conflict: &str) -> anyhow::Result<ConflictView> {
    let found = store.conflict(workspace, &ConflictId::parse(conflict)?).await?;
    found.with_context(|| {
        format!("there is no conflict {conflict} in this workspace: `tidelog conflicts list` shows its conflicts")
    })
}
