//! Reads of a record's history.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{EventView, HistoryEvent, HistoryResponse};

use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Events in one read: 16 MiB at most.
const READ_EVENTS_MAX: usize = 64;

impl Gateway {
    /// A page of the events that named a record, each with its verdict. `None` if no event did.
    pub(crate) async fn history_page(
        &self,
        workspace: WorkspaceId,
        key: &RecordKey,
        mut after: Position,
        limit: usize,
    ) -> Result<Option<HistoryResponse>, ApiError> {
        let Some(record_positions) = self.store.record_positions(workspace, key).await? else { return Ok(None) };
        let (mut events, mut more, mut bytes) = (Vec::new(), true, 0);
        while more && events.len() < limit && bytes < PAGE_BYTES_MAX {
            let wanted = READ_EVENTS_MAX.min(limit - events.len());
            let mut positions = self.store.positions_after(workspace, &record_positions, after, wanted + 1).await?;
            more = positions.len() > wanted;
            positions.truncate(wanted);
            after = positions.last().copied().unwrap_or(after);
            let verdicts = self.store.verdicts_at(workspace, &positions).await?;
            let mut verdicts = verdicts.into_iter().peekable();
            for event in self.store.events_at(workspace, &positions).await? {
                bytes += event.intent.fields().map_or(0, Fields::weight);
                let stored = verdicts.next_if(|stored| stored.position == event.position);
                let (verdict, conflicts) =
                    stored.map_or((Verdict::Applied, Vec::new()), |stored| (stored.verdict, stored.conflicts));
                events.push(HistoryEvent { event: EventView::from(event), verdict, conflicts });
            }
        }
        Ok(Some(HistoryResponse { events, cursor: after.to_string(), more }))
    }
}
