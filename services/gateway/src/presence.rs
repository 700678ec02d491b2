//! What devices say of themselves, gathered here and written some seconds later, many at a time and off the push path.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_postgres::{Presence, Store};

/// A device that was heard of within this time is active.
pub(crate) const ACTIVE_MS: i64 = 30 * 24 * 3_600_000;

type Said = HashMap<WorkspaceId, HashMap<DeviceId, Presence>>;

/// What was said since the last flush.
#[derive(Default)]
pub(crate) struct PresenceBuffer {
    said: Mutex<Said>,
}

impl PresenceBuffer {
    /// Notes what a device said. An acknowledgement never goes back.
    pub(crate) fn note(&self, workspace: WorkspaceId, device: DeviceId, said: Presence) {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(workspace)
            .or_default()
            .entry(device)
            .and_modify(|known| {
                known.acknowledged = known.acknowledged.max(said.acknowledged);
                known.last_seen_at = known.last_seen_at.max(said.last_seen_at);
                if said.app.is_some() {
                    known.app.clone_from(&said.app);
                }
            })
            .or_insert(said);
    }

    /// Writes and forgets it. What cannot be written is lost: devices say it again.
    pub(crate) async fn flush(&self, store: &Store) {
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        for (workspace, devices) in said {
            // Sorted, so that two gateways never wait for each other's rows.
            let mut devices: Vec<_> = devices.into_iter().collect();
            devices.sort_by_key(|(device, _)| *device);
            if let Err(error) = store.save_presence(workspace, &devices).await {
                tracing::warn!(%error, "what devices said of themselves was not saved");
            }
        }
    }
}
