//! Lookups in a log: single events by position, by seq and by time.

use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};
use tidelog_core::time::UnixMs;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::log::event_row::event_of;

/// How far a log reached at a moment in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogAtTime {
    /// The last event that was stored by then; 0 before the first.
    pub position: Position,
    /// The last event that is stored now.
    pub head: Position,
}

impl Store {
    /// The event at a position, rejected or not. `None`: the log has none there.
    pub async fn event_at(&self, workspace: WorkspaceId, position: Position) -> Result<Option<Event>, StoreError> {
        let sql = include_str!("../../sql/log/lookup/event_at.sql");
        self.query_opt(sql, &[&workspace.0, &position.0]).await?.as_ref().map(event_of).transpose()
    }

    /// The events at these positions, in the same order. A position without an event is corruption.
    pub async fn events_at(&self, workspace: WorkspaceId, positions: &[Position]) -> Result<Vec<Event>, StoreError> {
        let numbers: Vec<i64> = positions.iter().map(|position| position.0).collect();
        let rows = self.query(include_str!("../../sql/log/lookup/events_at.sql"), &[&workspace.0, &numbers]).await?;
        if rows.len() != positions.len() {
            return Err(StoreError::corrupt("a record's event is not in the log"));
        }
        rows.iter().map(event_of).collect()
    }

    /// The first position of the batch that the event at `position` is part of. `None`: the log has no event there.
    pub async fn batch_at(&self, workspace: WorkspaceId, position: Position) -> Result<Option<Position>, StoreError> {
        let sql = include_str!("../../sql/log/lookup/batch_at.sql");
        let row = self.query_opt(sql, &[&workspace.0, &position.0]).await?;
        row.map(|row| Ok(Position(row.try_get("batch")?))).transpose()
    }

    /// The events of a device with seqs from `first` to `last`, both included, rejected or not.
    pub async fn events_of_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        first: Seq,
        last: Seq,
    ) -> Result<Vec<Event>, StoreError> {
        let sql = include_str!("../../sql/log/lookup/events_of_device.sql");
        let rows = self.query(sql, &[&workspace.0, &device.0, &first.0, &last.0]).await?;
        rows.iter().map(event_of).collect()
    }

    /// The last `_catalog` event before a position. `None`: there is none.
    pub async fn catalog_event_before(
        &self,
        workspace: WorkspaceId,
        position: Position,
    ) -> Result<Option<Event>, StoreError> {
        let sql = include_str!("../../sql/log/lookup/catalog_event_before.sql");
        self.query_opt(sql, &[&workspace.0, &position.0]).await?.as_ref().map(event_of).transpose()
    }

    /// The positions of a log's `_catalog` events up to `until`, in order, each with the digest of its event. The same
    /// catalog has the same digest in every log.
    pub async fn catalog_positions(
        &self,
        workspace: WorkspaceId,
        until: Position,
    ) -> Result<Vec<(Position, Digest)>, StoreError> {
        let sql = include_str!("../../sql/log/lookup/catalog_positions.sql");
        let rows = self.query(sql, &[&workspace.0, &until.0]).await?;
        rows.iter().map(|row| Ok((Position(row.try_get("position")?), Digest(row.try_get("digest")?)))).collect()
    }

    /// How far a log reached at a time.
    pub async fn position_at(&self, workspace: WorkspaceId, time: UnixMs) -> Result<LogAtTime, StoreError> {
        let sql = include_str!("../../sql/log/lookup/position_at.sql");
        let row = self.query_opt(sql, &[&workspace.0, &time.0]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("the search for a time in the log found no position"))?;
        Ok(LogAtTime { position: Position(row.try_get("position")?), head: Position(row.try_get("head")?) })
    }
}
