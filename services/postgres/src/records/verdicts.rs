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
    let mut fields: Vec<&str> = row.try_get("fields")?;
    // The database may sort texts in another order.
    fields.sort_unstable();
    let text: &str = row.try_get("verdict")?;
    let verdict = [Verdict::Applied, Verdict::Merged, Verdict::Superseded, Verdict::Conflict].into_iter();
    let verdict = verdict.into_iter().find(|verdict| verdict.as_str() == text);
    let verdict = verdict.ok_or_else(|| StoreError::corrupt("a verdict"))?;
    let conflicts = fields.into_iter().map(|field| ConflictId::of(position, field)).collect();
    Ok(StoredVerdict { position, verdict, conflicts })
}
