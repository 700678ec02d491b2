//! Slices of the log for folding: whole batches, everything in them, read in as few pieces as their size allows.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId};
use tidelog_core::op::{Intent, Kind};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};

/// After how much a slice ends at the next batch boundary.
#[derive(Debug, Clone, Copy)]
pub struct SliceLimits {
    /// Events, rejected ones included.
    pub events: usize,
    /// Bytes of fields, by what they weigh once they are read.
    pub bytes: usize,
}

/// Whole batches of a log in order.
#[derive(Debug)]
pub struct LogSlice {
    /// The events that have an effect: the rejected ones are left out.
    pub events: Vec<Event>,
    /// Where each batch ends.
    pub batches: Vec<BatchEnd>,
    /// The last position that was seen: after the end only if the log is known to go on.
    pub head: Position,
}

/// The end of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEnd {
    /// How many events of the slice lie before it.
    pub events: usize,
    /// Names the last event of the batch, rejected or not.
    pub cursor: Cursor,
}

/// Stored bytes of fields that one read brings at most, unless a single event has more.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Store {
    /// The next slice of a log after the end of a batch: at least one batch, if there is one.
    ///
    /// Unlike a [`crate::ContinuedScan`] it does not check that two of its reads are of the same log: the transaction that
    /// writes what was folded from the slice proves its last event (docs/adr/0016).
    pub async fn slice(
        &self,
        workspace: WorkspaceId,
        after: Position,
        limits: SliceLimits,
    ) -> Result<LogSlice, StoreError> {
        let sql = include_str!("../../sql/log/slice/slice.sql");
        let mut builder = SliceBuilder::after(after, limits);
        let mut read_to = after;
        // One event more than wanted says whether the last batch is whole.
        let rows_max = limits.events + 1;
        let mut size =
            ReadSize::first(ReadSizeLimits { bytes: READ_BYTES_MAX, rows_first: rows_max, rows_min: 1, rows_max });
        loop {
            let (rows, row_bytes) = (size.rows() as i64, i32::try_from(size.row_bytes_max()).unwrap_or(i32::MAX));
            let rows = self.query(sql, &[&workspace.0, &read_to.0, &rows, &row_bytes]).await?;
            let is_end = rows.len() < size.rows();
            let left_out_bytes = builder.take(rows)?;
            if is_end && left_out_bytes.is_none() {
                builder.end_batch()?;
                break;
            }
            if builder.is_enough() {
                break;
            }
            read_to = builder.read_to()?;
            if let Some(bytes) = left_out_bytes {
                // A power of two, so that few sizes are tried where events grow.
                size.resize(1, bytes.next_power_of_two());
            }
            // A long slice must not keep the thread from other tasks.
            tokio::task::yield_now().await;
        }
        Ok(builder.slice)
    }
}

/// Where a row has what: the order of the columns of the statement.
mod column {
    pub(crate) const POSITION: usize = 0;
    pub(crate) const BATCH: usize = 1;
    pub(crate) const DEVICE: usize = 2;
    pub(crate) const SEQ: usize = 3;
    pub(crate) const BASE: usize = 4;
    pub(crate) const AT_MS: usize = 5;
    pub(crate) const RECEIVED_AT_MS: usize = 6;
    pub(crate) const DIGEST: usize = 7;
    pub(crate) const KIND: usize = 8;
    pub(crate) const TABLE: usize = 9;
    pub(crate) const RECORD: usize = 10;
    pub(crate) const SCOPE: usize = 11;
    pub(crate) const ROLE: usize = 12;
    pub(crate) const ACTOR: usize = 13;
    pub(crate) const CONFLICT: usize = 14;
    pub(crate) const REJECTED: usize = 15;
    pub(crate) const FIELDS: usize = 16;
    pub(crate) const LEFT_OUT_BYTES: usize = 17;
}

/// A slice that takes rows, and reads them as events once their batch is known to be whole.
struct SliceBuilder {
    slice: LogSlice,
    after: Position,
    bytes: usize,
    limits: SliceLimits,
    /// The rows of the last batch so far.
    batch: Vec<Row>,
    batch_position: i64,
}

impl SliceBuilder {
    fn after(after: Position, limits: SliceLimits) -> Self {
        let slice = LogSlice { events: Vec::new(), batches: Vec::new(), head: after };
        Self { slice, after, bytes: 0, limits, batch: Vec::new(), batch_position: 0 }
    }

    /// Whether it is to end where it ends now.
    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes || self.spans(self.end())
    }

    /// Whether there is no more to be read for it: it is full, or would be with the batch at hand.
    fn is_enough(&self) -> bool {
        self.is_full() || (!self.slice.batches.is_empty() && self.spans(self.slice.head))
    }

    fn end(&self) -> Position {
        self.slice.batches.last().map_or(self.after, |batch| batch.cursor.position)
    }

    /// Whether it is as many events as wanted to there.
    fn spans(&self, to: Position) -> bool {
        to.0 - self.after.0 >= self.limits.events as i64
    }

    /// The position of the last event that is here.
    fn read_to(&self) -> Result<Position, StoreError> {
        let last = self.batch.last().map(|row| row.try_get(column::POSITION).map(Position));
        Ok(last.transpose()?.unwrap_or(self.end()))
    }

    /// Takes rows up to the first that came without its fields, whose size this is.
    fn take(&mut self, rows: Vec<Row>) -> Result<Option<usize>, StoreError> {
        for row in rows {
            let batch: i64 = row.try_get(column::BATCH)?;
            if batch != self.batch_position {
                self.end_batch()?;
                self.batch_position = batch;
            }
            self.slice.head = Position(row.try_get(column::POSITION)?);
            if self.is_full() {
                break;
            }
            if let Some(bytes) = row.try_get::<_, Option<i32>>(column::LEFT_OUT_BYTES)? {
                return Ok(Some(usize::try_from(bytes).unwrap_or_default()));
            }
            self.batch.push(row);
        }
        Ok(None)
    }

    /// Reads the batch at hand, all of which is here.
    fn end_batch(&mut self) -> Result<(), StoreError> {
        let Some(last) = self.batch.last() else { return Ok(()) };
        let check =
            CursorCheck::of(Digest(last.try_get(column::DIGEST)?), UnixMs(last.try_get(column::RECEIVED_AT_MS)?));
        let cursor = Cursor { position: Position(last.try_get(column::POSITION)?), check };
        for row in self.batch.drain(..) {
            if row.try_get(column::REJECTED).map(|code: &str| !code.is_empty())? {
                continue;
            }
            let event = event_of(&row)?;
            self.bytes += event.intent.fields().map_or(0, Fields::weight);
            self.slice.events.push(event);
        }
        self.slice.batches.push(BatchEnd { events: self.slice.events.len(), cursor });
        Ok(())
    }
}

fn event_of(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        position: Position(row.try_get(column::POSITION)?),
        batch: Position(row.try_get(column::BATCH)?),
        device: DeviceId(row.try_get(column::DEVICE)?),
        seq: Seq(row.try_get(column::SEQ)?),
        table: name(TableName::parse, row, column::TABLE)?,
        record: name(RecordId::parse, row, column::RECORD)?,
        scope: name(Scope::parse, row, column::SCOPE)?,
        intent: intent_of(row)?,
        base: Position(row.try_get(column::BASE)?),
        at: UnixMs(row.try_get(column::AT_MS)?),
        received_at: UnixMs(row.try_get(column::RECEIVED_AT_MS)?),
        role: name(Role::parse, row, column::ROLE)?,
        actor: name(Actor::parse, row, column::ACTOR)?,
        rejected: None,
        digest: Digest(row.try_get(column::DIGEST)?),
    })
}

/// A put without stored fields was erased.
fn intent_of(row: &Row) -> Result<Intent, StoreError> {
    let kind: i16 = row.try_get(column::KIND)?;
    let kind = Kind::of_number(kind).ok_or_else(|| StoreError::corrupt(format_args!("kind {kind} of an event")))?;
    let fields: Option<&[u8]> = row.try_get(column::FIELDS)?;
    let fields = fields.filter(|bytes| !bytes.is_empty());
    let fields = fields.map(|bytes| Fields::from_msgpack(bytes).map_err(StoreError::corrupt)).transpose()?;
    Ok(match kind {
        Kind::Put => Intent::Put(fields.unwrap_or_default()),
        Kind::Delete => Intent::Delete,
        Kind::Resolve => Intent::Resolve { conflict: name(ConflictId::parse, row, column::CONFLICT)?, put: fields },
    })
}

fn name<'a, T, E: std::fmt::Display>(
    parse: impl FnOnce(&'a str) -> Result<T, E>,
    row: &'a Row,
    column: usize,
) -> Result<T, StoreError> {
    parse(row.try_get(column)?).map_err(StoreError::corrupt)
}
