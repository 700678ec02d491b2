//! Creating a workspace, for the command line and the admin listener alike.

use std::collections::BTreeMap;

use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Role, Scopes, WorkspaceId};
use tidelog_core::limits::REGISTRATIONS_PER_HOUR_DEFAULT;
use tidelog_postgres::{Credential, CredentialKind, NewEnrollmentKey, Store, StoreError};

use crate::runtime::Runtime;

/// A new workspace with its enrollment keys. The keys cannot be shown again, since only their hashes are stored.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct CreatedWorkspace {
    /// The workspace's id.
    #[schema(value_type = String, format = Uuid)]
    pub workspace: WorkspaceId,
    /// One enrollment key for each role of the catalog. Each grants all scopes.
    #[schema(value_type = BTreeMap<String, String>)]
    pub keys: BTreeMap<Role, String>,
}

/// Creates a workspace with one enrollment key for each role of the catalog.
pub async fn create_workspace(
    store: &Store,
    runtime: &Runtime,
    catalog: &Catalog,
    name: &str,
) -> Result<CreatedWorkspace, StoreError> {
    let (workspace, now) = (WorkspaceId(runtime.random.uuid()), runtime.clock.now());
    let (mut keys, mut stored) = (BTreeMap::new(), Vec::new());
    for role in &catalog.roles {
        let (id, secret) = (runtime.random.uuid(), runtime.random.bytes());
        let credential = Credential::new(CredentialKind::EnrollmentKey, workspace, id, secret);
        let new = NewEnrollmentKey {
            role: role.clone(),
            scopes: Scopes::All,
            expires_at: None,
            registrations_max: None,
            registrations_per_hour: Some(REGISTRATIONS_PER_HOUR_DEFAULT),
        };
        keys.insert(role.clone(), credential.reveal());
        stored.push((credential, new));
    }
    store.create_workspace(workspace, name, &stored, now).await?;
    Ok(CreatedWorkspace { workspace, keys })
}
