//! Devices: their accounts and their list.

pub(crate) mod change;
pub(crate) mod event;
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
    /// The position of the last event that changed the role or scopes; 0 if none did.
    pub access_position: Position,
    /// The position of the last such event of any device of the workspace, when the account was read. A later one in the
    /// log means that the account may be out of date.
    pub as_of: Position,
    /// Whether neither the log nor the account has the device's `_devices` event: it was registered by an earlier version.
    pub lacks_event: bool,
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
                access_position: Position(row.try_get("access_position")?),
                as_of: Position(row.try_get("as_of")?),
                lacks_event: row.try_get("lacks_event")?,
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

    /// The role and scopes that a device had after the event at a position, as the log says. Before the event of its
    /// registration it had those of that event. `None`: the log does not say who the device is.
    pub async fn device_access_at(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        position: Position,
    ) -> Result<Option<(Role, Scopes)>, StoreError> {
        let sql = include_str!("../../../sql/accounts/devices/access/at.sql");
        let row = self.query_opt(sql, &[&workspace.0, &device.0, &position.0]).await?;
        row.map(|row| Ok((parse_column(&row, "role", Role::parse)?, scopes_of(&row)?))).transpose()
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
