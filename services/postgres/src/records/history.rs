//! A record's past: its events by their places, which its state and the blocks beside it know (docs/adr/0018).

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::HISTORY_BLOCK_EVENTS;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::records::checkpoint::StoredVerdict;
use crate::records::pages::verdict_of;

/// Where in the log the events of a record are, as far as it is folded.
#[derive(Debug, Clone)]
pub struct RecordPositions {
    key: RecordKey,
    blocks: i32,
    recent: Vec<Position>,
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
}
