//! Workspaces.

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::accounts::credentials::Credential;
use crate::accounts::keys::NewEnrollmentKey;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::StateForm;

/// A workspace as operators see it.
#[derive(Debug)]
pub struct WorkspaceRow {
    /// The id of the workspace.
    pub workspace: WorkspaceId,
    /// The name of the workspace.
    pub name: String,
    /// When the workspace was created.
    pub created_at: UnixMs,
    /// The last position of its log.
    pub head: Position,
    /// The position of its live checkpoint.
    pub projected: Position,
    /// How many of its devices are not revoked.
    pub devices: i64,
}

impl Store {
    /// Creates a workspace with an empty log, its system device and its first enrollment keys, in one transaction.
    pub async fn create_workspace(
        &self,
        workspace: WorkspaceId,
        name: &str,
        keys: &[(Credential, NewEnrollmentKey)],
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let id = &workspace.0;
        transaction
            .execute(include_str!("../../sql/accounts/workspaces/create_workspace.sql"), &[id, &name, &now.0])
            .await?;
        transaction.execute(include_str!("../../sql/accounts/workspaces/create_head.sql"), &[id]).await?;
        let checkpoint = include_str!("../../sql/accounts/workspaces/create_checkpoint.sql");
        transaction.execute(checkpoint, &[id, &StateForm::CURRENT.0]).await?;
        for (credential, new) in keys {
            Self::insert_enrollment_key(&transaction, credential, new, now).await?;
        }
        commit(transaction).await
    }

    /// Every workspace, oldest first.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let rows = self.query(include_str!("../../sql/accounts/workspaces/workspaces.sql"), &[]).await?;
        let workspace_of = |row: &Row| -> Result<WorkspaceRow, StoreError> {
            Ok(WorkspaceRow {
                workspace: WorkspaceId(row.try_get("workspace")?),
                name: row.try_get("name")?,
                created_at: UnixMs(row.try_get("created_at_ms")?),
                head: Position(row.try_get("head")?),
                projected: Position(row.try_get("projected")?),
                devices: row.try_get("devices")?,
            })
        };
        rows.iter().map(workspace_of).collect()
    }
}
