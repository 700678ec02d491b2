//! Reads a log page by page from a cursor on, and holds no connection between two reads.

use std::collections::VecDeque;

use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};

use crate::db::error::{LogError, StoreError};
use crate::db::pool::Store;
use crate::log::continued_scan::{ContinuedScan, ScanRead};
use crate::log::filter::{EventFilter, Visibility};
use crate::log::page::{ClosedPage, PackedPage, PackedPageLimits, PageBuilder};

/// Bytes after which a read ends early: its rows are far heavier than the rows before them.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// About the bytes that an event takes beside its fields.
const EVENT_ENVELOPE_BYTES: usize = 256;
/// If less than one in so many events was visible, the database leaves out the hidden ones of the next read; otherwise
/// they are read and dropped here. Filtering costs the database more for each row that it returns, and less for each
/// that it does not.
const EVENTS_PER_VISIBLE_MAX: i64 = 4;

/// Reads the events of a log that a filter shows, page by page.
pub struct LogReader {
    store: Store,
    workspace: WorkspaceId,
    until: Position,
    filter: EventFilter,
    scan: ContinuedScan,
    /// Whether the next read asks for every event, and the hidden ones are dropped here. Otherwise the database leaves
    /// them out.
    reads_all: bool,
    page: PageBuilder,
    /// Pages that are full and wait to be returned.
    ready: VecDeque<ClosedPage>,
    /// Whether the reading has reached `until`.
    has_ended: bool,
}

impl LogReader {
    /// A reader of what `filter` shows of a log after `after`, a cursor that was checked, up to `until`, a batch
    /// boundary that the log is known to reach.
    pub fn new(
        store: Store,
        workspace: WorkspaceId,
        filter: EventFilter,
        (after, until): (Cursor, Position),
        limits: PackedPageLimits,
    ) -> Self {
        Self {
            store,
            workspace,
            until,
            filter,
            scan: ContinuedScan::after(workspace, after),
            reads_all: true,
            page: PageBuilder::after(after.position, limits),
            ready: VecDeque::new(),
            has_ended: after.position >= until,
        }
    }

    /// The next page; `None` after the page that reaches `until` or the event limit. [`LogError::Diverged`]: the log
    /// was replaced by another one since the cursor was checked.
    pub async fn next_page(&mut self) -> Result<Option<PackedPage>, LogError> {
        loop {
            if let Some(page) = self.ready.pop_front() {
                let check = match page.check {
                    Some(check) => check,
                    None => self.store.cursor_at(self.workspace, page.end).await?.check,
                };
                return Ok(Some(page.with(check)));
            }
            if self.has_ended || self.page.has_ended() {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    /// Reads on once.
    async fn read(&mut self) -> Result<(), LogError> {
        let Self { store, filter, scan, page, ready, .. } = self;
        let before = scan.last().position;
        // The database looks for visible events no further than the page may look.
        let to = if self.reads_all { self.until } else { self.until.min(page.window_end()) };
        let rows_max = page.rows_left();
        page.expect(scan.expected_bytes(rows_max));
        let mut visible = 0;
        let read = ScanRead { to, filter: (!self.reads_all).then_some(&*filter), rows_max, bytes_max: READ_BYTES_MAX };
        let progress = scan.read(store, read, |row, last| {
            let visibility = filter.visibility(&row.event, row.is_rejected);
            ready.extend(page.take(row, visibility, last));
            visible += i64::from(visibility != Visibility::Hidden);
            row.event.fields.len() + EVENT_ENVELOPE_BYTES
        });
        let progress = progress.await?;
        if page.has_ended() {
            return Ok(());
        }
        let looked_at = if progress.is_complete { to } else { scan.last().position }.0 - before.0;
        // A page that began during this read may look further than the page that the read was for.
        if progress.is_complete && (to == self.until || to == page.window_end()) {
            self.close_page_at(to).await?;
        }
        self.reads_all = visible * EVENTS_PER_VISIBLE_MAX >= looked_at;
        Ok(())
    }

    /// Ends the page at `to`, or in front of the batch that goes on there: every visible event up to `to` was taken.
    async fn close_page_at(&mut self, to: Position) -> Result<(), LogError> {
        let end = if to == self.until {
            self.has_ended = true;
            to
        } else {
            let batch = self.store.batch_at(self.workspace, Position(to.0 + 1)).await?;
            Position(batch.ok_or(LogError::Diverged)?.0 - 1)
        };
        let end = match self.scan.last() {
            last if last.position == end => last,
            _ if self.reads_all => {
                return Err(StoreError::corrupt(format_args!("the log lacks events before {end}")).into());
            }
            _ => self.store.cursor_at(self.workspace, end).await?,
        };
        self.ready.push_back(self.page.close_at(end.position, Some(end.check)));
        self.scan.skip_to(end);
        Ok(())
    }
}
