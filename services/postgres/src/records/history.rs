//! A record's past: its events by their places, which its state and the blocks beside it know (docs/adr/0018).

use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::HISTORY_BLOCK_EVENTS;
use tidelog_core::time::UnixMs;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::rows::event_of;
use crate::records::checkpoint::StoredVerdict;
use crate::records::pages::verdict_of;

/// Where in the log the events of a record are, as far as it is folded.
#[derive(Debug, Clone)]
pub struct RecordPositions {
    key: RecordKey,
    blocks: i32,
    recent: Vec<Position>,
}

/// The log at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogAtTime {
    /// The last event that was stored by then; 0 before the first.
    pub position: Position,
    /// The last event there is.
    pub head: Position,
}

impl Store {
    /// Where the events of a record are; `None`: no event has named it.
    pub async fn record_positions(
        &self,
        workspace: WorkspaceId,
        key: &RecordKey,
    ) -> Result<Option<RecordPositions>, StoreError> {
        let Some((key, record)) = self.record(workspace, key).await? else { return Ok(None) };
        let blocks = i32::try_from(record.history.blocks).map_err(StoreError::corrupt)?;
        Ok(Some(RecordPositions { key, blocks, recent: record.history.recent }))
    }

    /// The positions of the next events of a record, `limit` at most, in order.
    pub async fn positions_after(
        &self,
        workspace: WorkspaceId,
        past: &RecordPositions,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let mut positions = Vec::new();
        if past.blocks > 0 {
            let RecordPositions { key, blocks, .. } = past;
            // The first of them may have one event alone behind `after`.
            let blocks_max = (limit / HISTORY_BLOCK_EVENTS + 2) as i64;
            let sql = include_str!("../../sql/records/history/event_blocks.sql");
            let (table, scope, record) = (key.table.as_str(), key.scope.as_str(), key.record.as_str());
            let rows = self.query(sql, &[&workspace.0, &table, &scope, &record, blocks, &after.0, &blocks_max]).await?;
            for row in &rows {
                let block: Vec<i64> = row.try_get("positions")?;
                positions.extend(block.into_iter().map(Position).filter(|position| *position > after));
            }
        }
        if positions.len() < limit {
            positions.extend(past.recent.iter().filter(|position| **position > after));
        }
        positions.truncate(limit);
        Ok(positions)
    }

    /// The events at these positions, in their order.
    pub async fn events_at(&self, workspace: WorkspaceId, positions: &[Position]) -> Result<Vec<Event>, StoreError> {
        let numbers: Vec<i64> = positions.iter().map(|position| position.0).collect();
        let rows =
            self.query(include_str!("../../sql/records/history/events_at.sql"), &[&workspace.0, &numbers]).await?;
        if rows.len() != positions.len() {
            return Err(StoreError::corrupt("a record's event is not in the log"));
        }
        rows.iter().map(event_of).collect()
    }

    /// The stored verdicts of the events at these positions: of those that did not simply apply.
    pub async fn verdicts_at(
        &self,
        workspace: WorkspaceId,
        positions: &[Position],
    ) -> Result<Vec<StoredVerdict>, StoreError> {
        let numbers: Vec<i64> = positions.iter().map(|position| position.0).collect();
        let rows =
            self.query(include_str!("../../sql/records/history/verdicts_at.sql"), &[&workspace.0, &numbers]).await?;
        rows.iter().map(verdict_of).collect()
    }

    /// Where a log's `_catalog` events are, up to a position, each with its digest: the same catalog has the same one in
    /// every log.
    pub async fn catalog_places(
        &self,
        workspace: WorkspaceId,
        until: Position,
    ) -> Result<Vec<(Position, Digest)>, StoreError> {
        let rows =
            self.query(include_str!("../../sql/records/history/catalog_places.sql"), &[&workspace.0, &until.0]).await?;
        rows.iter().map(|row| Ok((Position(row.try_get("position")?), Digest(row.try_get("digest")?)))).collect()
    }

    /// Where a log was at a time.
    pub async fn position_at(&self, workspace: WorkspaceId, time: UnixMs) -> Result<LogAtTime, StoreError> {
        let row = self
            .query_opt(include_str!("../../sql/records/history/position_at_time.sql"), &[&workspace.0, &time.0])
            .await?;
        let row = row.ok_or_else(|| StoreError::corrupt("a log in which no place can be found"))?;
        Ok(LogAtTime { position: Position(row.try_get("position")?), head: Position(row.try_get("head")?) })
    }
}
