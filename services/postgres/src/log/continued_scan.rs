//! A scan of the log in several reads, each sized by the rows before it and checked to be of the same log.

use std::ops::ControlFlow;

use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};

use crate::db::error::{LogError, StoreError};
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::filter::EventFilter;
use crate::log::scan::LogRow;

/// The sizes of the reads.
const READ_SIZE: ReadSizeLimits = ReadSizeLimits { bytes: 1024 * 1024, rows_first: 128, rows_min: 16, rows_max: 8_192 };

/// A forward scan of one workspace's log that holds no connection between two reads.
///
/// Every read after the first event begins with the last event of the read before. If the log has another event at that
/// position, or none, it was replaced (restored from a backup), and the read fails with [`LogError::Diverged`]. One
/// statement reads that event and the ones after it, so all of them are of one snapshot, and of the same log.
#[derive(Debug)]
pub struct ContinuedScan {
    workspace: WorkspaceId,
    last: Cursor,
    size: ReadSize,
}

/// What one read of a [`ContinuedScan`] reads.
#[derive(Debug, Clone, Copy)]
pub struct ScanRead<'a> {
    /// The last position to read.
    pub to: Position,
    /// Leaves out the events that this filter hides. `None`: reads every event.
    pub filter: Option<&'a EventFilter>,
    /// Most rows, if the size of the read would allow more.
    pub rows_max: usize,
    /// Bytes after which the read ends early. That costs its connection (see [`Store::scan`]), so it is for rows far
    /// heavier than the rows before them.
    pub bytes_max: usize,
}

/// What one read of a [`ContinuedScan`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// How many new events it read.
    pub rows: usize,
    /// What they weighed.
    pub bytes: usize,
    /// Whether it read every event up to [`ScanRead::to`] that the filter shows.
    pub is_complete: bool,
}

impl ContinuedScan {
    /// A scan that begins after a cursor.
    pub fn after(workspace: WorkspaceId, cursor: Cursor) -> Self {
        Self { workspace, last: cursor, size: ReadSize::first(READ_SIZE) }
    }

    /// The last event that was read; at first the cursor that the scan begins after.
    pub(crate) fn last(&self) -> Cursor {
        self.last
    }

    /// Goes on after a later event. The caller knows that nothing of what it reads lies before.
    pub(crate) fn skip_to(&mut self, cursor: Cursor) {
        self.last = cursor;
    }

    /// Bytes that the next read of at most so many rows is expected to bring; 0 before the first read.
    pub(crate) fn expected_bytes(&self, rows_max: usize) -> usize {
        self.size.row_bytes() * self.size.rows().min(rows_max)
    }

    /// Reads on, and calls `take` for every new event in order, with the cursor of the event read before it. `take`
    /// returns the bytes that the event weighs, which size the next read.
    ///
    /// [`LogError::Diverged`]: the log was replaced since the last read. [`StoreError::Corrupt`]: it lacks a position,
    /// which only a read without a filter can notice.
    pub async fn read<F>(&mut self, store: &Store, read: ScanRead<'_>, mut take: F) -> Result<ScanProgress, LogError>
    where
        F: FnMut(&LogRow<'_>, Cursor) -> usize,
    {
        let begin = self.last;
        let has_overlap = begin.position > Position::START;
        let (mut awaits_overlap, mut has_diverged) = (has_overlap, false);
        let (mut rows, mut bytes) = (0, 0);
        let rows_max = self.size.rows().min(read.rows_max);
        let positions = begin.position.max(Position(1))..=read.to;
        let scanned_rows_max = rows_max + usize::from(has_overlap);
        let scan = store.scan(self.workspace, positions, read.filter, scanned_rows_max, |row| {
            if std::mem::take(&mut awaits_overlap) {
                has_diverged = row.cursor() != begin;
                return Ok(if has_diverged { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            }
            let next = self.last.position.0 + 1;
            if read.filter.is_none() && row.event.position.0 != next {
                return Err(StoreError::corrupt(format_args!("no event at position {next}")));
            }
            bytes += take(row, self.last);
            rows += 1;
            self.last = row.cursor();
            Ok(if bytes > read.bytes_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let is_whole = scan.await?;
        if has_diverged || awaits_overlap {
            return Err(LogError::Diverged);
        }
        self.size.resize(rows, bytes);
        Ok(ScanProgress { rows, bytes, is_complete: is_whole && rows < rows_max })
    }
}
