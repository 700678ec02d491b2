//! Pages of encoded events, filled row by row: whole batches until one of three limits is reached (PULL-1).

use std::ops::Range;

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{CATALOG_TABLE, Position};

use crate::log::scan::LogRow;

/// After how much a page ends at the next batch boundary, and all pages together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedPageLimits {
    /// Events of all pages together.
    pub events: usize,
    /// Bytes of events in a page, as MessagePack.
    pub bytes: usize,
    /// Positions a page looks at, whatever of them is visible; above the largest batch.
    pub positions: i64,
}

impl PackedPageLimits {
    /// Whether a page ends at the next batch boundary, with `events` in all pages so far and `bytes` in this one.
    pub fn is_full(&self, events: usize, bytes: usize) -> bool {
        bytes >= self.bytes || events >= self.events
    }
}

/// Rows to look at for the end of a batch in which the most events are reached.
const REST_ROWS: usize = 128;

/// How far a page is expected to go past its size, for its last batch to be whole.
const ROOM_BYTES: usize = 64 * 1024;

/// A slice of a log, its events encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedPage {
    /// The visible events, whole batches in order: MessagePack maps, one behind the other.
    pub events: Vec<u8>,
    /// How many they are.
    pub count: usize,
    /// Where the `_catalog` events among them stand in `events`, with their positions.
    pub catalogs: Vec<(Position, Range<usize>)>,
    /// Where the slice ends: a batch boundary, whatever is visible there.
    pub end: Cursor,
}

/// A page that ends somewhere, though the check of its cursor may have to be looked up.
pub(crate) struct ClosedPage {
    pub(crate) end: Position,
    pub(crate) check: Option<CursorCheck>,
    events: Vec<u8>,
    count: usize,
    catalogs: Vec<(Position, Range<usize>)>,
}

impl ClosedPage {
    /// The page with the check of its end.
    pub(crate) fn with(self, check: CursorCheck) -> PackedPage {
        let end = Cursor { position: self.end, check };
        PackedPage { events: self.events, count: self.count, catalogs: self.catalogs, end }
    }
}

/// Builds pages from the rows of a read.
///
/// Whether a batch still fits shows only after its rows came, so the builder takes them first and carries them into the
/// next page if they do not. The gateway's builder of pages from a tail looks ahead in memory instead and shares the
/// encoded events, and its tail is shorter than a page may look; the two have [`PackedPageLimits::is_full`] in common.
pub(crate) struct PageBuilder {
    limits: PackedPageLimits,
    /// Events of the pages before it.
    given: usize,
    after: Position,
    events: Vec<u8>,
    count: usize,
    catalogs: Vec<(Position, Range<usize>)>,
    mark: Mark,
    has_ended: bool,
}

/// Where the last batch of the page begins: a page can end in front of it.
#[derive(Clone, Copy)]
struct Mark {
    batch: Position,
    check_before: Option<CursorCheck>,
    bytes: usize,
    count: usize,
    catalogs: usize,
}

impl Mark {
    const NONE: Self = Self { batch: Position::START, check_before: None, bytes: 0, count: 0, catalogs: 0 };
}

impl PageBuilder {
    /// The first page after a position.
    pub(crate) fn after(after: Position, limits: PackedPageLimits) -> Self {
        let (events, catalogs) = (Vec::new(), Vec::new());
        Self { limits, given: 0, after, events, count: 0, catalogs, mark: Mark::NONE, has_ended: false }
    }

    /// The last position that the page may look at.
    pub(crate) fn window_end(&self) -> Position {
        Position(self.after.0.saturating_add(self.limits.positions))
    }

    /// How many rows it takes until the most events are given and the next batch shows that they are, if all are visible
    /// and no batch goes on.
    pub(crate) fn rows_left(&self) -> usize {
        match self.limits.events.saturating_sub(self.given + self.count) {
            0 => REST_ROWS,
            left => left.saturating_add(1),
        }
    }

    /// Whether the most events are given: there is no page after the last one that was closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Makes room for so many bytes, as far as the page may have them.
    pub(crate) fn expect(&mut self, bytes: usize) {
        let room = self.limits.bytes.saturating_add(ROOM_BYTES).saturating_sub(self.events.len());
        self.events.reserve(bytes.min(room));
    }

    /// Takes the next row that was looked at; `before` is the one looked at before it. If a page ends with that, it comes
    /// back, and the row stands in the next one.
    pub(crate) fn take(&mut self, row: &LogRow<'_>, is_visible: bool, before: Cursor) -> Option<ClosedPage> {
        let (position, batch) = (row.event.position, row.event.batch);
        let mut closed = None;
        if batch != self.mark.batch {
            let check_before = (before.position.0 + 1 == batch.0).then_some(before.check);
            let (bytes, count, catalogs) = (self.events.len(), self.count, self.catalogs.len());
            self.mark = Mark { batch, check_before, bytes, count, catalogs };
            if self.is_full() {
                closed = Some(self.close_at_mark());
            }
        }
        if closed.is_none() && position > self.window_end() && batch.0 - 1 > self.after.0 {
            closed = Some(self.close_at_mark());
        }
        if is_visible && !self.has_ended {
            let start = self.events.len();
            row.event.write(&mut self.events);
            self.count += 1;
            if row.event.table == CATALOG_TABLE {
                self.catalogs.push((position, start..self.events.len()));
            }
        }
        closed
    }

    /// Ends the page at a batch boundary, wherever the rows that were taken end: what is behind it is dropped.
    pub(crate) fn close_at(&mut self, end: Position, check: Option<CursorCheck>) -> ClosedPage {
        if self.mark.batch > end {
            self.events.truncate(self.mark.bytes);
            self.catalogs.truncate(self.mark.catalogs);
            self.count = self.mark.count;
        }
        let rest = (self.events.len(), self.count, self.catalogs.len());
        (self.mark.bytes, self.mark.count, self.mark.catalogs) = rest;
        let closed = self.close_at_mark();
        self.mark = Mark::NONE;
        self.after = end;
        ClosedPage { end, check, ..closed }
    }

    fn is_full(&self) -> bool {
        self.limits.is_full(self.given + self.count, self.events.len())
    }

    /// Ends the page in front of the last batch, whose rows go on into the next one.
    fn close_at_mark(&mut self) -> ClosedPage {
        let mark = self.mark;
        let carried = self.events.split_off(mark.bytes);
        let catalogs = self.catalogs.split_off(mark.catalogs);
        let moved = catalogs.into_iter().map(|(at, range)| (at, range.start - mark.bytes..range.end - mark.bytes));
        let closed = ClosedPage {
            end: Position(mark.batch.0 - 1),
            check: mark.check_before,
            events: std::mem::replace(&mut self.events, carried),
            count: mark.count,
            catalogs: std::mem::replace(&mut self.catalogs, moved.collect()),
        };
        self.count -= mark.count;
        self.given += mark.count;
        self.has_ended = self.given >= self.limits.events;
        self.after = closed.end;
        self.mark = Mark { bytes: 0, count: 0, catalogs: 0, ..mark };
        closed
    }
}
