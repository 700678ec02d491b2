//! The rejected events of a log, and their second chance (OUT-2).

use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{DeviceId, Position, Scopes, TableName, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::rows::event_of;
use crate::log::append_system::{SystemAppendOutcome, SystemOp};

/// Positions that one statement looks at: each event of them may bring fields.
const POSITIONS: i64 = 5_000;

/// Which rejected events are wanted; nothing given: all.
#[derive(Debug, Clone, Default)]
pub struct RejectedFilter {
    /// Of this code.
    pub code: Option<RejectCode>,
    /// Of this table.
    pub table: Option<TableName>,
}

/// A rejected event.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedEvent {
    /// The event.
    pub event: Event,
    /// Why it has no effect.
    pub code: RejectCode,
    /// The event that it was readmitted as, if it was.
    pub readmitted: Option<Position>,
}

/// Some of a log's rejected events.
#[derive(Debug)]
pub struct RejectedPage {
    /// The events, in order; none perhaps, though there are more.
    pub events: Vec<RejectedEvent>,
    /// From where to go on; nothing at the end of the log.
    pub next: Option<Position>,
}

/// What became of a second chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadmitOutcome {
    /// What the op meant to do is an event of the system device now.
    Readmitted(Position),
    /// It was one before.
    Already(Position),
    /// The catalog in force, or what its device is granted, forbids it still. Nothing is stored.
    Refused(RejectCode),
    /// Its fields were too large to be kept.
    NotKept,
}

impl Store {
    /// The rejected events after a position, page by page.
    pub async fn rejected(
        &self,
        workspace: WorkspaceId,
        after: Position,
        filter: &RejectedFilter,
    ) -> Result<RejectedPage, StoreError> {
        let head = self.head(workspace, Position::START).await?.map_or(Position::START, |head| head.head);
        let to = Position(after.0.saturating_add(POSITIONS).min(head.0));
        let events = self.rejected_to(workspace, after, to, filter).await?;
        Ok(RejectedPage { events, next: (to < head).then_some(to) })
    }

    /// The rejected event at a position. `None`: there is none.
    pub async fn rejected_at(
        &self,
        workspace: WorkspaceId,
        position: Position,
    ) -> Result<Option<RejectedEvent>, StoreError> {
        let before = Position(position.0.saturating_sub(1));
        Ok(self.rejected_to(workspace, before, position, &RejectedFilter::default()).await?.pop())
    }

    async fn rejected_to(
        &self,
        workspace: WorkspaceId,
        after: Position,
        to: Position,
        filter: &RejectedFilter,
    ) -> Result<Vec<RejectedEvent>, StoreError> {
        let (code, table) = (filter.code.map(RejectCode::as_str), filter.table.as_ref().map(TableName::as_str));
        let sql = include_str!("../../sql/log/rejected/page.sql");
        let rows = self.query(sql, &[&workspace.0, &after.0, &to.0, &code, &table]).await?;
        rows.iter().map(rejected_of).collect()
    }

    /// Gives a rejected event a second chance, once: appends what it meant to do as an op of the system device, with its
    /// base, time, role and actor, so that the rules see it as what it was. Judged by the catalog in force, and by the
    /// scopes of its device now.
    pub async fn readmit(
        &self,
        workspace: WorkspaceId,
        rejected: &RejectedEvent,
        now: UnixMs,
    ) -> Result<ReadmitOutcome, StoreError> {
        if let Some(position) = rejected.readmitted {
            return Ok(ReadmitOutcome::Already(position));
        }
        if rejected.code == RejectCode::FieldsTooLarge {
            return Ok(ReadmitOutcome::NotKept);
        }
        let event = &rejected.event;
        let op = SystemOp {
            key: RecordKey::of(event),
            intent: event.intent.clone().into(),
            base: event.base,
            at: Some(event.at),
            role: event.role.clone(),
            scopes: Some(self.scopes_now(workspace, event.device).await?),
            actor: event.actor.clone(),
        };
        // The mark and the op are there together or not at all, so of two that readmit it at once one finds the mark.
        let mark = async |transaction: &deadpool_postgres::Transaction<'_>, position: Position| {
            let sql = transaction.prepare_cached(include_str!("../../sql/log/rejected/mark.sql")).await?;
            let marked = transaction.execute(&sql, &[&workspace.0, &event.position.0, &position.0, &now.0]).await?;
            Ok(marked > 0)
        };
        match self.append_as_system_with(workspace, &op, now, mark).await? {
            SystemAppendOutcome::Appended { position, .. } => Ok(ReadmitOutcome::Readmitted(position)),
            SystemAppendOutcome::Rejected(code) => Ok(ReadmitOutcome::Refused(code)),
            SystemAppendOutcome::Withdrawn => {
                let marked = self.rejected_at(workspace, event.position).await?;
                let position = marked.and_then(|marked| marked.readmitted);
                position
                    .map(ReadmitOutcome::Already)
                    .ok_or_else(|| StoreError::corrupt("an event is marked as readmitted, and the mark is gone"))
            }
        }
    }

    /// The scopes that a device has now; of one that is gone none.
    async fn scopes_now(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Scopes, StoreError> {
        if device.is_system() {
            return Ok(Scopes::All);
        }
        let account = self.device_account(workspace, device).await?;
        Ok(account.map_or(Scopes::Listed(Vec::new()), |account| account.scopes))
    }
}

fn rejected_of(row: &Row) -> Result<RejectedEvent, StoreError> {
    let event = event_of(row)?;
    let code = event.rejected.ok_or_else(|| StoreError::corrupt("a rejected event without a code"))?;
    let readmitted: Option<i64> = row.try_get("readmitted_position")?;
    Ok(RejectedEvent { event, code, readmitted: readmitted.map(Position) })
}
