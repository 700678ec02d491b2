//! What devices say of themselves, written lazily and many at a time.

use tidelog_core::ids::{DeviceId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The latest a device said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// How far it has acknowledged.
    pub acknowledged: Position,
    /// When it was heard of.
    pub last_seen_at: UnixMs,
    /// Its app's version, if it said.
    pub app: Option<String>,
}

impl Store {
    /// Saves what the devices of one workspace said. An acknowledgement never goes back.
    pub async fn save_presence(&self, workspace: WorkspaceId, said: &[(DeviceId, Presence)]) -> Result<(), StoreError> {
        let devices: Vec<_> = said.iter().map(|(device, _)| device.0).collect();
        let acknowledged: Vec<_> = said.iter().map(|(_, presence)| presence.acknowledged.0).collect();
        let last_seen: Vec<_> = said.iter().map(|(_, presence)| presence.last_seen_at.0).collect();
        let apps: Vec<_> = said.iter().map(|(_, presence)| presence.app.as_deref()).collect();
        let sql = include_str!("../../sql/accounts/presence/save_presence.sql");
        self.execute(sql, &[&workspace.0, &devices, &acknowledged, &last_seen, &apps]).await.map(drop)
    }
}
