//! Reads a log from a cursor on, page after page, and holds no connection between two reads.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};

use crate::db::error::{LogError, StoreError};
use crate::db::pool::Store;
use crate::log::filter::EventFilter;
use crate::log::page::{ClosedPage, PackedPage, PackedPageLimits, PageBuilder};
use crate::log::scan::LogRow;

/// Rows of the first read; later ones are sized by what those weighed.
const ROWS_FIRST: usize = 128;
const ROWS_MAX: usize = 8_192;
/// Bytes that a read aims at.
const READ_BYTES: usize = 1024 * 1024;
/// Bytes after which a read ends early: its rows are far larger than those before let expect.
const READ_BYTES_MAX: usize = 4 * READ_BYTES;
/// One in so many rows has to be visible for all of them to be read and the others dropped here. Where fewer are, the
/// database looks through them: that costs it more for each row that it gives, and less for each that it does not.
const DENSE_ONE_IN: i64 = 4;

/// Reads what somebody may see of a log.
pub struct LogReader {
    store: Store,
    workspace: WorkspaceId,
    until: Position,
    /// How many rows the next read takes, and whether of all or of the visible ones.
    rows: usize,
    row_bytes: usize,
    is_dense: bool,
    progress: Progress,
}

/// How far the reading is.
struct Progress {
    filter: EventFilter,
    /// The last event that was looked at.
    read_to: Cursor,
    page: PageBuilder,
    ready: VecDeque<ClosedPage>,
    has_ended: bool,
}

/// One read.
struct Read {
    is_dense: bool,
    /// Whether the read begins with the event before: so a log that was replaced since is noticed, whatever it holds.
    has_overlap: bool,
    has_diverged: bool,
    bytes: usize,
    visible: i64,
}

impl LogReader {
    /// Reads what `filter` shows of a log after a cursor that was checked, up to `until`, a batch boundary that the log is
    /// known to reach.
    pub fn new(
        store: Store,
        workspace: WorkspaceId,
        filter: EventFilter,
        (after, until): (Cursor, Position),
        limits: PackedPageLimits,
    ) -> Self {
        let page = PageBuilder::after(after.position, limits);
        let has_ended = after.position >= until;
        let progress = Progress { filter, read_to: after, page, ready: VecDeque::new(), has_ended };
        Self { store, workspace, until, rows: ROWS_FIRST, row_bytes: 0, is_dense: true, progress }
    }

    /// The next page; `None` after the one that reaches the end, or the most events. [`LogError::Diverged`]: the log
    /// was replaced by another one since the cursor was checked.
    pub async fn next_page(&mut self) -> Result<Option<PackedPage>, LogError> {
        loop {
            if let Some(page) = self.progress.ready.pop_front() {
                let check = match page.check {
                    Some(check) => check,
                    None => self.store.cursor_at(self.workspace, page.end).await?.check,
                };
                return Ok(Some(page.with(check)));
            }
            if self.progress.has_ended || self.progress.page.has_ended() {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), LogError> {
        let progress = &mut self.progress;
        let before = progress.read_to.position;
        // Whoever looks for what is visible looks no further than the page does.
        let to = if self.is_dense { self.until } else { self.until.min(progress.page.window_end()) };
        let has_overlap = before > Position::START;
        let rows_max = self.rows.min(progress.page.rows_left()) + usize::from(has_overlap);
        let filter = (!self.is_dense).then(|| progress.filter.clone());
        let mut read = Read { is_dense: self.is_dense, has_overlap, has_diverged: false, bytes: 0, visible: 0 };
        progress.page.expect(self.row_bytes * rows_max);
        let positions = before.max(Position(1))..=to;
        let mut count = 0;
        let is_whole = self.store.scan(self.workspace, positions, filter.as_ref(), rows_max, |row| {
            count += 1;
            progress.take(row, &mut read)
        });
        let is_whole = is_whole.await?;
        if read.has_diverged || (has_overlap && count == 0) {
            return Err(LogError::Diverged);
        }
        if progress.page.has_ended() {
            return Ok(());
        }
        let is_all = is_whole && count < rows_max;
        let looked_at = if is_all { to } else { progress.read_to.position }.0 - before.0;
        // A page that began on the way looks further than the one that this read was for.
        if is_all && (to == self.until || to == progress.page.window_end()) {
            self.reach(to).await?;
        }
        self.is_dense = read.visible * DENSE_ONE_IN >= looked_at;
        self.row_bytes = read.bytes / count.max(1) + 1;
        self.rows = (READ_BYTES / self.row_bytes).clamp(16, ROWS_MAX);
        Ok(())
    }

    /// All that there is up to here was taken.
    async fn reach(&mut self, to: Position) -> Result<(), LogError> {
        let progress = &mut self.progress;
        let end = if to == self.until {
            progress.has_ended = true;
            to
        } else {
            let batch = self.store.batch_at(self.workspace, Position(to.0 + 1)).await?;
            Position(batch.ok_or(LogError::Diverged)?.0 - 1)
        };
        let end = match progress.read_to {
            known if known.position == end => known,
            _ if self.is_dense => {
                return Err(StoreError::corrupt(format_args!("the log lacks events before {end}")).into());
            }
            _ => self.store.cursor_at(self.workspace, end).await?,
        };
        progress.ready.push_back(progress.page.close_at(end.position, Some(end.check)));
        progress.read_to = end;
        Ok(())
    }
}

impl Progress {
    fn take(&mut self, row: &LogRow<'_>, read: &mut Read) -> Result<ControlFlow<()>, StoreError> {
        let position = row.event.position;
        if std::mem::take(&mut read.has_overlap) {
            read.has_diverged = row.cursor() != self.read_to;
            return Ok(if read.has_diverged { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if read.is_dense && position.0 != self.read_to.position.0 + 1 {
            return Err(StoreError::corrupt(format_args!("no event at position {}", self.read_to.position.0 + 1)));
        }
        let is_visible = !row.is_rejected && self.filter.shows(row.event.table, row.event.scope);
        self.ready.extend(self.page.take(row, is_visible, self.read_to));
        self.read_to = row.cursor();
        read.bytes += row.event.fields.len() + ENVELOPE_BYTES;
        read.visible += i64::from(is_visible);
        Ok(if read.bytes > READ_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// About what an event takes without its fields.
const ENVELOPE_BYTES: usize = 256;
