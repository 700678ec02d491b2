//! The history of a record: the positions of its events, from its stored state and from the blocks of positions that
//! have left the state (docs/adr/0018).

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::HISTORY_BLOCK_EVENTS;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The positions of a record's events, as far as the log is folded: the recent ones, and how many blocks hold the
/// others.
#[derive(Debug, Clone)]
pub struct RecordPositions {
    key: RecordKey,
    blocks: i32,
    recent: Vec<Position>,
}

impl Store {
    /// The positions of a record's events. `None`: no event has named the record.
    pub async fn record_positions(
        &self,
        workspace: WorkspaceId,
        key: &RecordKey,
    ) -> Result<Option<RecordPositions>, StoreError> {
        let Some((key, record)) = self.record(workspace, key).await? else { return Ok(None) };
        let blocks = i32::try_from(record.history.blocks).map_err(StoreError::corrupt)?;
        Ok(Some(RecordPositions { key, blocks, recent: record.history.recent }))
    }

    /// The positions of the next events of a record after a position, at most `limit`, in order.
    pub async fn positions_after(
        &self,
        workspace: WorkspaceId,
        record_positions: &RecordPositions,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let RecordPositions { key, blocks, recent } = record_positions;
        let mut positions = Vec::new();
        if *blocks > 0 {
            // The first block may have a single position after `after`, so one block more than full ones would take.
            let blocks_max = (limit / HISTORY_BLOCK_EVENTS + 2) as i64;
            let sql = include_str!("../../sql/records/history/blocks_after.sql");
            let (table, scope, record) = (key.table.as_str(), key.scope.as_str(), key.record.as_str());
            let rows = self.query(sql, &[&workspace.0, &table, &scope, &record, blocks, &after.0, &blocks_max]).await?;
            for row in &rows {
                let block: Vec<i64> = row.try_get("positions")?;
                positions.extend(block.into_iter().map(Position).filter(|position| *position > after));
            }
        }
        if positions.len() < limit {
            positions.extend(recent.iter().filter(|position| **position > after));
        }
        positions.truncate(limit);
        Ok(positions)
    }
}
