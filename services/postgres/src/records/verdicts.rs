//! Reads of verdicts. An event that simply applied leaves no row: no verdict at or before the checkpoint means
//! `applied`.

use tidelog_core::ids::{ConflictId, Position, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The stored verdict of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVerdict {
    /// The position of the event.
    pub position: Position,
    /// What became of the event.
    pub verdict: Verdict,
    /// The conflicts that the event made, in the order of their fields.
    pub conflicts: Vec<ConflictId>,
}

impl Store {
    /// The verdict of an event that was not rejected, with the conflicts that it made. `projected` is a checkpoint that
    /// the caller has read before.
    pub async fn verdict(
        &self,
        workspace: WorkspaceId,
        position: Position,
        projected: Position,
    ) -> Result<(Verdict, Vec<ConflictId>), StoreError> {
        let stored = self.verdicts(workspace, position, position).await?.into_iter().next();
        Ok(match stored {
            Some(stored) => (stored.verdict, stored.conflicts),
            None if position > projected => (Verdict::Pending, Vec::new()),
            None => (Verdict::Applied, Vec::new()),
        })
    }

    /// The stored verdicts of the events from `first` to `last`, both included, in order.
    pub async fn verdicts(
        &self,
        workspace: WorkspaceId,
        first: Position,
        last: Position,
    ) -> Result<Vec<StoredVerdict>, StoreError> {
        let sql = include_str!("../../sql/records/verdicts/verdicts_between.sql");
        let rows = self.query(sql, &[&workspace.0, &first.0, &last.0]).await?;
        rows.iter().map(verdict_of).collect()
    }

    /// The stored verdicts of the events at these positions.
    pub async fn verdicts_at(
        &self,
        workspace: WorkspaceId,
        positions: &[Position],
    ) -> Result<Vec<StoredVerdict>, StoreError> {
        let numbers: Vec<i64> = positions.iter().map(|position| position.0).collect();
        let sql = include_str!("../../sql/records/verdicts/verdicts_at.sql");
        let rows = self.query(sql, &[&workspace.0, &numbers]).await?;
        rows.iter().map(verdict_of).collect()
    }
}

fn verdict_of(row: &Row) -> Result<StoredVerdict, StoreError> {
    let position = Position(row.try_get("position")?);
    let verdict = parse_verdict(row.try_get("verdict")?)?;
    Ok(StoredVerdict { position, verdict, conflicts: conflicts_of(position, row.try_get("fields")?) })
}

/// A verdict as it is stored.
pub(crate) fn parse_verdict(text: &str) -> Result<Verdict, StoreError> {
    let stored = [Verdict::Applied, Verdict::Merged, Verdict::Superseded, Verdict::Conflict];
    let verdict = stored.into_iter().find(|verdict| verdict.as_str() == text);
    verdict.ok_or_else(|| StoreError::corrupt("a verdict"))
}

/// The ids of the conflicts that the event at `position` made in these fields, in order.
pub(crate) fn conflicts_of(position: Position, mut fields: Vec<&str>) -> Vec<ConflictId> {
    // The database may sort texts in another order.
    fields.sort_unstable();
    fields.into_iter().map(|field| ConflictId::of(position, field)).collect()
}
