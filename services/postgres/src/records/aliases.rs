//! The earlier names of devices, which the fold needs to tell a device's own ops.

use tidelog_core::device_change::Alias;
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// An earlier name that a `_devices` event gave to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAlias {
    /// The position of the event.
    pub position: Position,
    /// The device.
    pub device: DeviceId,
    /// Its earlier name.
    pub alias: Alias,
}

impl Store {
    /// The earlier names that `_devices` events after one position and up to another gave to devices, in the order of the
    /// log.
    pub async fn aliases(
        &self,
        workspace: WorkspaceId,
        after: Position,
        to: Position,
    ) -> Result<Vec<StoredAlias>, StoreError> {
        let sql = include_str!("../../sql/records/aliases/between.sql");
        let rows = self.query(sql, &[&workspace.0, &after.0, &to.0]).await?;
        let aliases = rows.iter().map(|row| {
            let alias = Alias {
                device: DeviceId(row.try_get("replaces")?),
                // A name without a bound covers no op.
                through: Seq(row.try_get::<_, Option<i64>>("replaces_through")?.unwrap_or(0)),
            };
            Ok(StoredAlias {
                position: Position(row.try_get("position")?),
                device: DeviceId(row.try_get("device")?),
                alias,
            })
        });
        aliases.collect()
    }
}
