//! The head of a log, and cursors to its positions.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{Position, WorkspaceId};

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The head of a log, with what proves a cursor at one of its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The last position; 0 of an empty log.
    pub head: Position,
    /// The version of the last `_catalog` event; 0 before the first.
    pub catalog_version: i64,
    /// The position of the last `_devices` event that changed the role or scopes of a device; 0 before the first.
    pub access_position: Position,
    /// The check of a cursor at the position that was asked for. `None`: the log has no event there.
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
                access_position: Position(row.try_get("access_position")?),
                check: row.try_get::<_, Option<i64>>("cursor_check")?.map(CursorCheck),
            })
        })
        .transpose()
    }

    /// The cursor to a position of a log. A position without an event is corruption: the caller knows that it has one.
    pub async fn cursor_at(&self, workspace: WorkspaceId, position: Position) -> Result<Cursor, StoreError> {
        if position == Position::START {
            return Ok(Cursor::START);
        }
        let head = self.head(workspace, position).await?;
        let check = head.and_then(|head| head.check);
        let check = check.ok_or_else(|| StoreError::corrupt(format_args!("no event at position {position}")))?;
        Ok(Cursor { position, check })
    }
}
