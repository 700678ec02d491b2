//! Slices of the log for folding: whole batches with every event that has an effect, in as few reads as their size
//! allows.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::event_row::{column, event_with};

/// The limits at which a slice ends, always at the next batch boundary.
#[derive(Debug, Clone, Copy)]
pub struct SliceLimits {
    /// Events, including rejected ones.
    pub events: usize,
    /// Bytes of fields, by their weight once decoded.
    pub bytes: usize,
}

/// Consecutive whole batches of a log.
#[derive(Debug)]
pub struct LogSlice {
    /// The events that have an effect, in order. Rejected events are left out.
    pub events: Vec<Event>,
    /// The end of each batch.
    pub batches: Vec<BatchEnd>,
    /// The last position that was read. It lies after the end of the slice if the log is known to go on.
    pub head: Position,
}

/// The end of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEnd {
    /// How many events of the slice come before this end.
    pub events: usize,
    /// The cursor to the last event of the batch, rejected or not.
    pub cursor: Cursor,
}

/// The column after those of the event: the size of fields that were left out.
const LEFT_OUT_BYTES: usize = column::EXTRA;

/// Stored bytes of fields that one read brings at most, unless a single event has more.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Store {
    /// The next slice of a log after the end of a batch: at least one batch, if there is one.
    ///
    /// Unlike a [`crate::ContinuedScan`] it does not check that two of its reads are of the same log: the transaction
    /// that writes what was folded from the slice proves its last event (docs/adr/0016).
    pub async fn slice(
        &self,
        workspace: WorkspaceId,
        after: Position,
        limits: SliceLimits,
    ) -> Result<LogSlice, StoreError> {
        let sql = include_str!("../../sql/log/slice/slice.sql");
        let mut builder = SliceBuilder::after(after, limits);
        let mut read_to = after;
        // One row more than wanted shows whether the last batch is whole.
        let rows_max = limits.events + 1;
        let mut size =
            ReadSize::first(ReadSizeLimits { bytes: READ_BYTES_MAX, rows_first: rows_max, rows_min: 1, rows_max });
        loop {
            let row_bytes_max = i32::try_from(size.row_bytes_max()).unwrap_or(i32::MAX);
            let params = (size.rows() as i64, row_bytes_max);
            let rows = self.query(sql, &[&workspace.0, &read_to.0, &params.0, &params.1]).await?;
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

/// Builds a slice from rows. The rows of a batch become events once the batch is known to be whole.
struct SliceBuilder {
    slice: LogSlice,
    after: Position,
    bytes: usize,
    limits: SliceLimits,
    /// The rows so far of the batch that is being read.
    batch: Vec<Row>,
    /// The first position of that batch.
    batch_position: i64,
}

impl SliceBuilder {
    fn after(after: Position, limits: SliceLimits) -> Self {
        let slice = LogSlice { events: Vec::new(), batches: Vec::new(), head: after };
        Self { slice, after, bytes: 0, limits, batch: Vec::new(), batch_position: 0 }
    }

    /// Whether a limit is reached, so that the slice ends with its last whole batch.
    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes || self.reaches_events_max(self.end())
    }

    /// Whether nothing more has to be read: the slice is full, or would be with the batch that is being read.
    fn is_enough(&self) -> bool {
        self.is_full() || (!self.slice.batches.is_empty() && self.reaches_events_max(self.slice.head))
    }

    /// The last position of the last whole batch.
    fn end(&self) -> Position {
        self.slice.batches.last().map_or(self.after, |batch| batch.cursor.position)
    }

    /// Whether a slice up to `to` reaches the event limit.
    fn reaches_events_max(&self, to: Position) -> bool {
        to.0 - self.after.0 >= self.limits.events as i64
    }

    /// The last position whose row is kept, as an event or in the batch that is being read.
    fn read_to(&self) -> Result<Position, StoreError> {
        let last = self.batch.last().map(|row| row.try_get(column::POSITION).map(Position));
        Ok(last.transpose()?.unwrap_or(self.end()))
    }

    /// Takes rows up to the first one whose fields were left out for their size. Returns that size in bytes.
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
            if let Some(bytes) = row.try_get::<_, Option<i32>>(LEFT_OUT_BYTES)? {
                return Ok(Some(usize::try_from(bytes).unwrap_or_default()));
            }
            self.batch.push(row);
        }
        Ok(None)
    }

    /// Turns the rows of the batch that was read into events: the batch is whole.
    fn end_batch(&mut self) -> Result<(), StoreError> {
        let Some(last) = self.batch.last() else { return Ok(()) };
        let check =
            CursorCheck::of(Digest(last.try_get(column::DIGEST)?), UnixMs(last.try_get(column::RECEIVED_AT_MS)?));
        let cursor = Cursor { position: Position(last.try_get(column::POSITION)?), check };
        for row in self.batch.drain(..) {
            if row.try_get(column::REJECTED).map(|code: &str| !code.is_empty())? {
                continue;
            }
            let event = event_with(&row, None)?;
            self.bytes += event.intent.fields().map_or(0, Fields::weight);
            self.slice.events.push(event);
        }
        self.slice.batches.push(BatchEnd { events: self.slice.events.len(), cursor });
        Ok(())
    }
}
