//! The rejected events of a log, and readmitting them (OUT-2).

use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{DeviceId, Position, Scopes, TableName, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::log::append::system::{SystemAppendOutcome, SystemOp};
use crate::log::event_row::{column, event_of};

/// Positions that one page looks at: the event at each may have fields to read.
const PAGE_POSITIONS_MAX: i64 = 5_000;

/// Which rejected events to read: by default all.
#[derive(Debug, Clone, Default)]
pub struct RejectedFilter {
    /// Only events that were rejected with this code.
    pub code: Option<RejectCode>,
    /// Only events of this table.
    pub table: Option<TableName>,
}

/// A rejected event.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedEvent {
    /// The event as it is stored.
    pub event: Event,
    /// Why the event has no effect.
    pub code: RejectCode,
    /// The position of the event that it was readmitted as, if it was.
    pub readmitted: Option<Position>,
}

/// A page of a log's rejected events.
#[derive(Debug)]
pub struct RejectedPage {
    /// The events in order. There may be none although the log has more.
    pub events: Vec<RejectedEvent>,
    /// The position after which the next page begins. `None` at the end of the log.
    pub next: Option<Position>,
}

/// The result of readmitting a rejected event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadmitOutcome {
    /// What the op was to do is now an event of the system device, at this position.
    Readmitted(Position),
    /// The event was readmitted before, at this position.
    Already(Position),
    /// The catalog in force, or the scopes granted to its device, still forbid it. Nothing is stored.
    Refused(RejectCode),
    /// The log does not have its fields, which were too large to be kept.
    NotKept,
}

impl Store {
    /// The next page of the rejected events after a position.
    pub async fn rejected(
        &self,
        workspace: WorkspaceId,
        after: Position,
        filter: &RejectedFilter,
    ) -> Result<RejectedPage, StoreError> {
        let head = self.head(workspace, Position::START).await?.map_or(Position::START, |head| head.head);
        let to = Position(after.0.saturating_add(PAGE_POSITIONS_MAX).min(head.0));
        let events = self.rejected_to(workspace, after, to, filter).await?;
        Ok(RejectedPage { events, next: (to < head).then_some(to) })
    }

    /// The rejected event at a position. `None`: the log has no rejected event there.
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

    /// Readmits a rejected event, once: appends what it was to do as an op of the system device, with its base, time,
    /// role and actor. A `_devices` event before it says which device made it, so that the conflict rules see it as what
    /// it was. The op is judged by the catalog in force and by the scopes that its device has now.
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
            readmits: (!event.device.is_system()).then_some((event.device, event.seq)),
        };
        // The mark and the op are stored together or not at all, so of two concurrent calls one finds the mark.
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
                    .ok_or_else(|| StoreError::corrupt("the mark of a readmitted event is gone"))
            }
        }
    }

    /// The scopes that a device has now: none if the device no longer exists.
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
    let readmitted: Option<i64> = row.try_get(column::EXTRA)?;
    Ok(RejectedEvent { event, code, readmitted: readmitted.map(Position) })
}
