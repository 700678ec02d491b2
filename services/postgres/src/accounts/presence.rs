//! What devices report about themselves, written late and for many devices at once.

use tidelog_core::ids::{DeviceId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The latest report of a device about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The position up to which the device has acknowledged the log.
    pub acknowledged: Position,
    /// When the device was last seen.
    pub last_seen_at: UnixMs,
    /// The version of its app, if it reported one.
    pub app: Option<String>,
}

impl Store {
    /// Saves reports of devices of one workspace. Neither an acknowledged position nor a time of last contact goes
    /// back.
    pub async fn save_presence(
        &self,
        workspace: WorkspaceId,
        reports: &[(DeviceId, Presence)],
    ) -> Result<(), StoreError> {
        let devices: Vec<_> = reports.iter().map(|(device, _)| device.0).collect();
        let acknowledged: Vec<_> = reports.iter().map(|(_, presence)| presence.acknowledged.0).collect();
        let last_seen: Vec<_> = reports.iter().map(|(_, presence)| presence.last_seen_at.0).collect();
        let apps: Vec<_> = reports.iter().map(|(_, presence)| presence.app.as_deref()).collect();
        let sql = include_str!("../../sql/accounts/presence/save_presence.sql");
        self.execute(sql, &[&workspace.0, &devices, &acknowledged, &last_seen, &apps]).await.map(drop)
    }
}
