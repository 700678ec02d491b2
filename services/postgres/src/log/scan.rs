//! Scans of the log: rows as they arrive from Postgres, borrowed, so that no event is built or kept.

use std::error::Error;
use std::ops::{ControlFlow, RangeInclusive};

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::digest::Digest;
use tidelog_core::event_ref::EventRef;
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};
use tidelog_core::op::Kind;
use tidelog_core::time::UnixMs;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};
use uuid::Uuid;

use crate::db::error::StoreError;
use crate::db::pool::{RESPONSE_TIMEOUT, Store, response_or_close};
use crate::log::filter::EventFilter;

/// A row of the log, borrowed from what Postgres sent.
#[derive(Debug, Clone, Copy)]
pub struct LogRow<'a> {
    /// The event.
    pub event: EventRef<'a>,
    /// The check of a cursor to the event.
    pub check: CursorCheck,
    /// The stored digest of the event.
    pub digest: Digest,
    /// Whether the event was rejected. Nobody pulls a rejected event.
    pub is_rejected: bool,
}

impl LogRow<'_> {
    /// The cursor that names the event.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.event.position, check: self.check }
    }
}

impl Store {
    /// Reads the events at `positions` in order, at most `rows_max`, and calls `take` for each as it arrives. Returns
    /// whether `take` got all of them. A filter leaves out the events that it hides, except the first of `positions`.
    ///
    /// The scan holds a connection, so `take` must not wait for anything. If `take` breaks off, the connection is
    /// closed: the rows already on their way, which may be many and large, would have to be read before its next use.
    pub async fn scan<F>(
        &self,
        workspace: WorkspaceId,
        positions: RangeInclusive<Position>,
        filter: Option<&EventFilter>,
        rows_max: usize,
        mut take: F,
    ) -> Result<bool, StoreError>
    where
        F: FnMut(&LogRow<'_>) -> Result<ControlFlow<()>, StoreError>,
    {
        let (from, to, rows_max) = (positions.start().0, positions.end().0, rows_max as i64);
        let client = self.client().await?;
        let scanned = timeout(RESPONSE_TIMEOUT, async {
            let (tables, scopes) = (filter.map(EventFilter::tables), filter.map(EventFilter::scopes));
            let sql = match filter {
                None => include_str!("../../sql/log/scan/events_from.sql"),
                Some(_) => include_str!("../../sql/log/scan/visible_from.sql"),
            };
            let statement = client.prepare_cached(sql).await?;
            let bounds: [&(dyn ToSql + Sync); 4] = [&workspace.0, &from, &to, &rows_max];
            let shown =
                [tables.as_ref(), scopes.as_ref()].into_iter().flatten().map(|list| list as &(dyn ToSql + Sync));
            let params = bounds.into_iter().chain(shown).collect::<Vec<_>>();
            let mut stream = std::pin::pin!(client.query_raw(&statement, params).await?);
            let mut rows = 0;
            while let Some(row) = stream.try_next().await? {
                rows += 1;
                if take(&log_row(&row)?)?.is_break() {
                    return Ok(rows == rows_max);
                }
            }
            Ok(true)
        });
        let scanned = scanned.await;
        if let Ok(Ok(false)) = scanned {
            drop(Object::take(client));
            return Ok(false);
        }
        response_or_close(client, scanned)
    }
}

/// Reads a row by the order of its columns: to look up each by its name would take longer than everything else.
fn log_row(row: &Row) -> Result<LogRow<'_>, StoreError> {
    let kind = column(row, 8)?.i16()?;
    let kind = Kind::from_number(kind).ok_or_else(|| StoreError::corrupt(format_args!("kind {kind} of an event")))?;
    let (position, batch_offset) = (column(row, 0)?.i64()?, column(row, 1)?.i16()?);
    let (received_at, digest) = (UnixMs(column(row, 6)?.i64()?), Digest(column(row, 7)?.i64()?));
    let event = EventRef {
        position: Position(position),
        batch: Position(position - i64::from(batch_offset)),
        device: DeviceId(Uuid::from_bytes(column(row, 2)?.array()?)),
        seq: Seq(column(row, 3)?.i64()?),
        table: column(row, 9)?.text()?,
        record: column(row, 10)?.text()?,
        scope: column(row, 11)?.text()?,
        kind,
        fields: column(row, 16)?.0,
        conflict: column(row, 14)?.text()?,
        base: Position(column(row, 4)?.i64()?),
        at: UnixMs(column(row, 5)?.i64()?),
        received_at,
        role: column(row, 12)?.text()?,
        actor: column(row, 13)?.text()?,
    };
    let is_rejected = !column(row, 15)?.0.is_empty();
    Ok(LogRow { event, check: CursorCheck::of(digest, received_at), digest, is_rejected })
}

fn column(row: &Row, index: usize) -> Result<RawColumn<'_>, StoreError> {
    Ok(row.try_get(index)?)
}

/// The bytes of a column in Postgres' binary form. Its type is known from our own statement: checking it for each value
/// of each row would be a fifth of the cost of reading a row.
struct RawColumn<'a>(&'a [u8]);

impl<'a> FromSql<'a> for RawColumn<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> RawColumn<'a> {
    fn array<const N: usize>(&self) -> Result<[u8; N], StoreError> {
        self.0.try_into().map_err(|_| StoreError::corrupt("a column of the log has another type"))
    }

    fn i64(&self) -> Result<i64, StoreError> {
        self.array().map(i64::from_be_bytes)
    }

    fn i16(&self) -> Result<i16, StoreError> {
        self.array().map(i16::from_be_bytes)
    }

    fn text(&self) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.0).map_err(StoreError::corrupt)
    }
}
