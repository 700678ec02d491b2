//! Changing and revoking devices.

use tidelog_core::error::Code;
use tidelog_core::ids::{DeviceId, Scopes, WorkspaceId};
use tidelog_core::wire::DevicePatch;
use tidelog_postgres::ChangeOutcome;

use crate::auth::{DevicePrincipal, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;

impl Gateway {
    /// Checks that a device may manage others, and has the scopes that it grants.
    ///
    /// The device's account is read from the database: what it may do no longer must not let it take that back.
    pub(crate) async fn check_manages_devices(
        &self,
        caller: &DevicePrincipal,
        granted: Option<&Scopes>,
    ) -> Result<(), ApiError> {
        let account = self.store.device_account(caller.workspace, caller.device).await?;
        let account = account.filter(|account| !account.revoked).ok_or_else(revoked)?;
        if !self.catalogs.current().await?.catalog.manage_devices.contains(&account.role) {
            return Err(ApiError::new(Code::Forbidden, "this role may not manage other devices"));
        }
        let has_all = match granted {
            None => true,
            Some(Scopes::All) => account.scopes == Scopes::All,
            Some(Scopes::Listed(listed)) => listed.iter().all(|scope| account.scopes.grants(scope)),
        };
        if has_all { Ok(()) } else { Err(ApiError::new(Code::Forbidden, "this device does not have these scopes")) }
    }

    /// Changes the name, role or scopes of a device.
    pub(crate) async fn change_device(
        &self,
        (workspace, device): (WorkspaceId, DeviceId),
        patch: &DevicePatch,
        request_id: &str,
    ) -> Result<(), ApiError> {
        if let Some(role) = &patch.role
            && !self.catalogs.refresh().await?.catalog.roles.contains(role)
        {
            return Err(ApiError::new(Code::NameInvalid, "role has to be one of the catalog's"));
        }
        let outcome = self.store.change_device(workspace, device, patch, self.runtime.clock.now()).await?;
        self.note_change((workspace, device), outcome, request_id).await
    }

    /// Revokes a device.
    pub(crate) async fn revoke_device(
        &self,
        (workspace, device): (WorkspaceId, DeviceId),
        request_id: &str,
    ) -> Result<(), ApiError> {
        let outcome = self.store.revoke_device(workspace, device, self.runtime.clock.now()).await?;
        self.note_change((workspace, device), outcome, request_id).await
    }

    /// Puts a change in force on this gateway, and wakes those who wait for its event.
    async fn note_change(
        &self,
        (workspace, device): (WorkspaceId, DeviceId),
        outcome: ChangeOutcome,
        request_id: &str,
    ) -> Result<(), ApiError> {
        self.accounts.forget(workspace, device).await;
        match outcome {
            ChangeOutcome::Changed(position) => {
                if let Some(position) = position {
                    self.wakeups.on_appended(workspace, position, request_id);
                }
                Ok(())
            }
            ChangeOutcome::Unknown => Err(ApiError::new(Code::NotFound, "there is no such device in this workspace")),
        }
    }
}
