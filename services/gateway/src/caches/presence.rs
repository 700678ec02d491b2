//! What devices report about themselves. It is gathered in memory and written every few seconds, for many devices at once
//! and apart from the requests.

use std::collections::HashMap;
use std::sync::Mutex;

use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_postgres::{LockExt, Presence, Store};

/// How long ago an active device was last seen, at most.
pub(crate) const ACTIVE_AGE_MS_MAX: i64 = 30 * 24 * 3_600_000;

type Reports = HashMap<WorkspaceId, HashMap<DeviceId, Presence>>;

/// The reports since the last flush, merged by device.
#[derive(Default)]
pub(crate) struct PresenceBuffer {
    reports: Mutex<Reports>,
}

impl PresenceBuffer {
    /// Adds a report of a device. Neither its acknowledged position nor its time of last contact ever goes back.
    pub(crate) fn note(&self, workspace: WorkspaceId, device: DeviceId, report: Presence) {
        let mut reports = self.reports.lock_unpoisoned();
        reports
            .entry(workspace)
            .or_default()
            .entry(device)
            .and_modify(|known| {
                known.acknowledged = known.acknowledged.max(report.acknowledged);
                known.last_seen_at = known.last_seen_at.max(report.last_seen_at);
                if report.app.is_some() {
                    known.app.clone_from(&report.app);
                }
            })
            .or_insert(report);
    }

    /// Writes the reports and empties the buffer. Reports that cannot be written are lost, since devices repeat them with
    /// every request.
    pub(crate) async fn flush(&self, store: &Store) {
        let reports = std::mem::take(&mut *self.reports.lock_unpoisoned());
        for (workspace, devices) in reports {
            // Sorted, so that two gateways never deadlock on each other's rows.
            let mut devices: Vec<_> = devices.into_iter().collect();
            devices.sort_by_key(|(device, _)| *device);
            if let Err(error) = store.save_presence(workspace, &devices).await {
                tracing::warn!(%error, "the presence of devices could not be saved");
            }
        }
    }
}
