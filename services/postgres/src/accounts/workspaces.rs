//! Workspaces and devices.

use tidelog_core::ids::{DeviceId, Position, Role, Scopes, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::DeviceView;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::credentials::{Credential, TokenHash};
use crate::accounts::keys::{KeyRefusal, NewEnrollmentKey};
use crate::db::columns::{parse_column, scopes_of};
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::StateForm;

/// A device to be registered. Its role and scopes come from the enrollment key.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// The id of the device.
    pub device: DeviceId,
    /// The name of the device.
    pub name: &'a str,
    /// The platform of the device, if it reports one.
    pub platform: Option<&'a str>,
    /// The device that it replaces, if any.
    pub replaces: Option<DeviceId>,
}

/// The result of registering a device.
#[derive(Debug)]
pub enum RegisterOutcome {
    /// The device is registered, with the role and scopes that the key grants.
    Registered(Role, Scopes),
    /// The key registers no device now.
    Refused(KeyRefusal),
}

/// What a device's token is checked against.
#[derive(Clone)]
pub struct DeviceAccount {
    /// The device's role.
    pub role: Role,
    /// The device's scopes.
    pub scopes: Scopes,
    /// The hash of the device's token.
    pub token: TokenHash,
    /// Whether the device is revoked.
    pub revoked: bool,
}

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

    /// Registers a device with an enrollment key, and counts it against the key's limits in the same transaction.
    pub async fn register_device(
        &self,
        workspace: WorkspaceId,
        key: Uuid,
        new: &NewDevice<'_>,
        token: &TokenHash,
        now: UnixMs,
    ) -> Result<RegisterOutcome, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let id = &workspace.0;
        let granted = include_str!("../../sql/accounts/workspaces/use_enrollment_key.sql");
        let Some(granted) = transaction.query_opt(granted, &[id, &key, &now.0]).await? else {
            return Ok(RegisterOutcome::Refused(Self::key_refusal(&transaction, workspace, key, now).await?));
        };
        let (role, scopes) = (parse_column(&granted, "role", Role::parse)?, scopes_of(&granted)?);
        let replaces = new.replaces.map(|device| device.0);
        let insert = include_str!("../../sql/accounts/workspaces/create_device.sql");
        let (role_text, scope_list, hash) = (role.as_str(), scopes.to_list(), token.as_bytes());
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[id, &new.device.0, &now.0, &replaces, &key, &new.name, &new.platform, &role_text, &scope_list, &hash];
        transaction.execute(insert, params).await?;
        commit(transaction).await?;
        Ok(RegisterOutcome::Registered(role, scopes))
    }

    /// What a device's token is checked against. `None`: the workspace has no such device.
    pub async fn device_account(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
    ) -> Result<Option<DeviceAccount>, StoreError> {
        let row = self
            .query_opt(include_str!("../../sql/accounts/workspaces/device_account.sql"), &[&workspace.0, &device.0])
            .await?;
        row.map(|row| {
            Ok(DeviceAccount {
                role: parse_column(&row, "role", Role::parse)?,
                scopes: scopes_of(&row)?,
                token: TokenHash::of_stored(row.try_get("token_sha256")?),
                revoked: row.try_get("revoked")?,
            })
        })
        .transpose()
    }

    /// The devices of a workspace, oldest first. With `device`: that one alone.
    pub async fn devices(
        &self,
        workspace: WorkspaceId,
        device: Option<DeviceId>,
    ) -> Result<Vec<DeviceView>, StoreError> {
        let only = device.map(|device| device.0);
        let rows =
            self.query(include_str!("../../sql/accounts/workspaces/devices.sql"), &[&workspace.0, &only]).await?;
        rows.iter().map(device_view).collect()
    }

    /// Revokes a device. Returns whether there is one with this id. Its next push is refused, since the append checks
    /// again with the log locked.
    pub async fn revoke_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let revoked = include_str!("../../sql/accounts/workspaces/revoke_device.sql");
        Ok(self.execute(revoked, &[&workspace.0, &device.0, &now.0]).await? > 0)
    }

    /// How many devices were seen since `since`, over all workspaces.
    pub async fn active_devices(&self, since: UnixMs) -> Result<i64, StoreError> {
        let row = self.query_opt(include_str!("../../sql/accounts/workspaces/active_devices.sql"), &[&since.0]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }
}

fn device_view(row: &Row) -> Result<DeviceView, StoreError> {
    let head: i64 = row.try_get("head")?;
    let acknowledged = row.try_get::<_, Option<i64>>("acknowledged")?.unwrap_or(0);
    Ok(DeviceView {
        device: DeviceId(row.try_get("device")?),
        name: row.try_get("name")?,
        platform: row.try_get("platform")?,
        app: row.try_get("app")?,
        role: parse_column(row, "role", Role::parse)?,
        scopes: scopes_of(row)?,
        registered_at: UnixMs(row.try_get("registered_at_ms")?),
        last_seen_at: row.try_get::<_, Option<i64>>("last_seen_at_ms")?.map(UnixMs),
        last_seq: row.try_get("last_seq")?,
        behind: head - acknowledged,
        revoked: row.try_get("revoked")?,
        replaces: row.try_get::<_, Option<Uuid>>("replaces")?.map(DeviceId),
        acknowledged: Position(acknowledged),
    })
}
