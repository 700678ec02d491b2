//! Point reads of the log.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::rows::event_of;

/// The head of a log, with the check of a cursor at the position that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The last position.
    pub head: Position,
    /// The version of the last `_catalog` event; 0 before the first.
    pub catalog_version: i64,
    /// The check of a cursor at the asked position, if the log has an event there.
    pub check: Option<CursorCheck>,
}

impl Store {
    /// The head of a log and the check of a cursor at `position`, in one snapshot. `None`: no such workspace.
    pub async fn head(&self, workspace: WorkspaceId, position: Position) -> Result<Option<LogHead>, StoreError> {
        let row = self.query_opt(include_str!("../../sql/log/head/head.sql"), &[&workspace.0, &position.0]).await?;
        row.map(|row| {
            Ok(LogHead {
                head: Position(row.try_get("head")?),
                catalog_version: row.try_get("catalog_version")?,
                check: row.try_get::<_, Option<i64>>("cursor_check")?.map(CursorCheck),
            })
        })
        .transpose()
    }

    /// The cursor at a position of the log.
    pub async fn cursor_at(&self, workspace: WorkspaceId, position: Position) -> Result<Cursor, StoreError> {
        if position == Position::START {
            return Ok(Cursor::START);
        }
        let head = self.head(workspace, position).await?;
        let check = head.and_then(|head| head.check);
        let check = check.ok_or_else(|| StoreError::corrupt(format_args!("no event at position {position}")))?;
        Ok(Cursor { position, check })
    }

    /// The first position of the batch that holds `position`. `None`: there is no event there.
    pub async fn batch_at(&self, workspace: WorkspaceId, position: Position) -> Result<Option<Position>, StoreError> {
        let row = self.query_opt(include_str!("../../sql/log/head/batch_at.sql"), &[&workspace.0, &position.0]).await?;
        row.map(|row| Ok(Position(row.try_get("batch")?))).transpose()
    }

    /// One event, rejected or not.
    pub async fn event_at(&self, workspace: WorkspaceId, position: Position) -> Result<Option<Event>, StoreError> {
        let row = self.query_opt(include_str!("../../sql/log/head/event_at.sql"), &[&workspace.0, &position.0]).await?;
        row.as_ref().map(event_of).transpose()
    }

    /// The events of a device with seqs from `first` to `last`, both included, rejected or not.
    pub async fn events_of_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        first: Seq,
        last: Seq,
    ) -> Result<Vec<Event>, StoreError> {
        let sql = include_str!("../../sql/log/head/events_of_device.sql");
        let rows = self.query(sql, &[&workspace.0, &device.0, &first.0, &last.0]).await?;
        rows.iter().map(event_of).collect()
    }

    /// The last `_catalog` event before a position, if there is one.
    pub async fn catalog_event_before(
        &self,
        workspace: WorkspaceId,
        position: Position,
    ) -> Result<Option<Event>, StoreError> {
        let sql = include_str!("../../sql/log/head/catalog_event_before.sql");
        self.query_opt(sql, &[&workspace.0, &position.0]).await?.as_ref().map(event_of).transpose()
    }
}
