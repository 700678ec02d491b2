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

/// A device to be registered; role and scopes come from the key.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Its id.
    pub device: DeviceId,
    /// Its name.
    pub name: &'a str,
    /// Its platform.
    pub platform: Option<&'a str>,
    /// The device it stands in for.
    pub replaces: Option<DeviceId>,
}

/// What a registration came to.
#[derive(Debug)]
pub enum RegisterOutcome {
    /// Registered, with what the key grants.
    Registered(Role, Scopes),
    /// The key allows no more now.
    Refused(KeyRefusal),
}

/// What a device's token is checked against.
#[derive(Clone)]
pub struct DeviceAccount {
    /// Its role.
    pub role: Role,
    /// Its scopes.
    pub scopes: Scopes,
    /// The hash of its token.
    pub token: TokenHash,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A workspace as operators see it.
#[derive(Debug)]
pub struct WorkspaceRow {
    /// Its id.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// Its last position.
    pub head: Position,
    /// Its projector's checkpoint.
    pub projected: Position,
    /// Its devices that are not revoked.
    pub devices: i64,
}

impl Store {
    /// Makes a workspace with its empty log, its system device and its first enrollment keys: all of it or nothing.
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
        transaction.execute(include_str!("../../sql/accounts/workspaces/create_checkpoint.sql"), &[id]).await?;
        for (credential, new) in keys {
            Self::insert_enrollment_key(&transaction, credential, new, now).await?;
        }
        commit(transaction).await
    }

    /// Every workspace, oldest first.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let rows = self.query(include_str!("../../sql/accounts/workspaces/workspaces.sql"), &[]).await?;
        let read = |row: &Row| -> Result<WorkspaceRow, StoreError> {
            Ok(WorkspaceRow {
                workspace: WorkspaceId(row.try_get("workspace")?),
                name: row.try_get("name")?,
                created_at: UnixMs(row.try_get("created_at_ms")?),
                head: Position(row.try_get("head")?),
                projected: Position(row.try_get("projected")?),
                devices: row.try_get("devices")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Registers a device by a key, counting against the key's limits in the same transaction.
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
            return Ok(RegisterOutcome::Refused(Self::key_state(&transaction, workspace, key, now).await?));
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

    /// What a device's token is checked against.
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

    /// The devices of a workspace, oldest first, or the one that is named.
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

    /// Revokes a device; whether there is one. Its next push is refused under the log's lock.
    pub async fn revoke_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let revoked = include_str!("../../sql/accounts/workspaces/revoke_device.sql");
        Ok(self.execute(revoked, &[&workspace.0, &device.0, &now.0]).await? > 0)
    }

    /// How many devices were heard of since `since`, over all workspaces.
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
