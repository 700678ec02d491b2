//! Devices: their accounts, their list, and revoking them.

pub(crate) mod register;
pub(crate) mod tokens;

use tidelog_core::ids::{DeviceId, Position, Role, Scopes, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::DeviceView;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::devices::tokens::DeviceTokens;
use crate::db::columns::{parse_column, scopes_of};
use crate::db::error::StoreError;
use crate::db::pool::Store;

/// What a device may do, and what its token is checked against.
#[derive(Clone)]
pub struct DeviceAccount {
    /// The device's role.
    pub role: Role,
    /// The device's scopes.
    pub scopes: Scopes,
    /// The tokens by which the device may prove itself.
    pub tokens: DeviceTokens,
    /// Whether the device is revoked.
    pub revoked: bool,
}

impl Store {
    /// A device's account. `None`: the workspace has no such device.
    pub async fn device_account(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
    ) -> Result<Option<DeviceAccount>, StoreError> {
        let sql = include_str!("../../../sql/accounts/devices/account.sql");
        let row = self.query_opt(sql, &[&workspace.0, &device.0]).await?;
        row.map(|row| {
            Ok(DeviceAccount {
                role: parse_column(&row, "role", Role::parse)?,
                scopes: scopes_of(&row)?,
                tokens: DeviceTokens::of_row(&row)?,
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
        let rows = self.query(include_str!("../../../sql/accounts/devices/list.sql"), &[&workspace.0, &only]).await?;
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
        let revoked = include_str!("../../../sql/accounts/devices/revoke.sql");
        Ok(self.execute(revoked, &[&workspace.0, &device.0, &now.0]).await? > 0)
    }

    /// How many devices were seen since `since`, over all workspaces.
    pub async fn active_devices(&self, since: UnixMs) -> Result<i64, StoreError> {
        let row = self.query_opt(include_str!("../../../sql/accounts/devices/active.sql"), &[&since.0]).await?;
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
