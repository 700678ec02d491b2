//! Checks the log itself: dense positions, whole batches, dense seqs, ascending times, and digests (LOG-3).

use std::collections::HashMap;
use std::ops::ControlFlow;

use tidelog_core::ids::{DeviceId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_postgres::{LogRow, StoreError};

use crate::projector::Projector;
use crate::verify::report::Faults;

/// Log rows that one statement reads.
const SCAN_ROWS_MAX: usize = 4_096;

impl Projector {
    /// Checks a log from its start up to `head`.
    pub(crate) async fn verify_log(
        &self,
        workspace: WorkspaceId,
        head: Position,
        faults: &mut Faults,
    ) -> Result<(), StoreError> {
        let mut check = LogCheck::default();
        while check.position < head {
            let (from, before) = (Position(check.position.0 + 1), check.position);
            let scan = self.store.scan(workspace, from..=head, None, SCAN_ROWS_MAX, |row| {
                check.check_row(row, faults);
                Ok(ControlFlow::Continue(()))
            });
            scan.await?;
            if check.position == before {
                faults.add(|| format!("the log lacks the events from {from} to {head}"));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The state after the last row checked.
#[derive(Default)]
struct LogCheck {
    position: Position,
    batch: Position,
    received_at: Option<UnixMs>,
    /// The last seq of each device.
    seqs: HashMap<DeviceId, i64>,
}

impl LogCheck {
    fn check_row(&mut self, row: &LogRow<'_>, faults: &mut Faults) {
        let (event, position) = (&row.event, row.event.position);
        if position.0 != self.position.0 + 1 {
            faults.add(|| format!("the log lacks the events between {} and {position}", self.position));
        }
        if event.batch != position && event.batch != self.batch {
            faults.add(|| format!("the event at {position} neither begins a batch nor continues the one before it"));
        }
        let seq = self.seqs.entry(event.device).or_default();
        if event.seq.0 != *seq + 1 {
            faults.add(|| format!("the event at {position} has seq {} of its device after seq {seq}", event.seq));
        }
        *seq = event.seq.0;
        if self.received_at.is_some_and(|before| event.received_at < before) {
            faults.add(|| format!("the event at {position} was stored at an earlier time than the event before it"));
        }
        // Fields that were rejected as too large are not stored, so the digest cannot be recomputed.
        let has_no_fields = event.fields.is_empty() && row.is_rejected;
        if !has_no_fields && event.matches_digest(row.digest) == Some(false) {
            faults.add(|| format!("the event at {position} does not match its digest"));
        }
        (self.position, self.batch, self.received_at) = (position, event.batch, Some(event.received_at));
    }
}
