//! Pages of encoded events, built row by row: whole batches until one of three limits is reached (PULL-1).

use std::ops::Range;

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::Position;

use crate::log::filter::Visibility;
use crate::log::scan::LogRow;

/// The limits at which a page ends, always at the next batch boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedPageLimits {
    /// Events of all pages of a reader together.
    pub events: usize,
    /// Bytes of the events in one page, as MessagePack.
    pub bytes: usize,
    /// Positions that one page looks at, visible or not. Larger than the largest batch.
    pub positions: i64,
}

impl PackedPageLimits {
    /// Whether a page ends at the next batch boundary, given the events of all pages so far and the bytes of this one.
    pub fn is_full(&self, events: usize, bytes: usize) -> bool {
        bytes >= self.bytes || events >= self.events
    }
}

/// Rows of a read that looks only for the end of the batch with which the event limit is reached.
const BATCH_END_ROWS: usize = 128;

/// Bytes by which a page is expected to exceed its limit, so that its last batch is whole.
const EXCESS_BYTES: usize = 64 * 1024;

/// A slice of a log with its events encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedPage {
    /// The visible events of whole batches in order: MessagePack maps, one after the other.
    pub events: Vec<u8>,
    /// How many events there are.
    pub count: usize,
    /// The events among them that may change what the reader sees: the position of each, and its bytes within `events`.
    pub access_events: Vec<(Position, Range<usize>)>,
    /// The ids of the devices that `_devices` events name whose role and scopes are left out here.
    pub devices: Vec<String>,
    /// The end of the slice: a batch boundary, whether or not the event there is visible.
    pub end: Cursor,
}

/// A finished page. If its end was not among the rows that were read, the check of its cursor has still to be looked
/// up.
pub(crate) struct ClosedPage {
    pub(crate) end: Position,
    pub(crate) check: Option<CursorCheck>,
    events: Vec<u8>,
    count: usize,
    access_events: Vec<(Position, Range<usize>)>,
    devices: Vec<String>,
}

impl ClosedPage {
    /// The page with the check of the cursor to its end.
    pub(crate) fn with(self, check: CursorCheck) -> PackedPage {
        let end = Cursor { position: self.end, check };
        let Self { events, count, access_events, devices, .. } = self;
        PackedPage { events, count, access_events, devices, end }
    }
}

/// Builds pages from the rows of a read.
///
/// Whether a batch still fits shows only after its rows came, so the builder takes them first and carries them into the
/// next page if they do not. The gateway's builder of pages from a tail looks ahead in memory instead and shares the
/// encoded events, and its tail is shorter than a page may look; the two have [`PackedPageLimits::is_full`] in common.
pub(crate) struct PageBuilder {
    limits: PackedPageLimits,
    /// Events of the pages that were closed before.
    events_closed: usize,
    /// The end of the page before.
    after: Position,
    events: Vec<u8>,
    count: usize,
    access_events: Vec<(Position, Range<usize>)>,
    /// The devices of `_devices` events without role and scopes, each with the position of the event.
    devices: Vec<(Position, String)>,
    last_batch: BatchStart,
    has_ended: bool,
}

/// The start of the last batch in a page, where the page can be cut.
#[derive(Clone, Copy)]
struct BatchStart {
    /// The batch's first position; 0 before the first batch.
    batch: Position,
    /// The check of the cursor to the event before the batch, if that event was among the rows.
    check_before: Option<CursorCheck>,
    /// Bytes, events and access events of the page before the batch.
    bytes: usize,
    count: usize,
    access_events: usize,
}

impl BatchStart {
    const NONE: Self = Self { batch: Position::START, check_before: None, bytes: 0, count: 0, access_events: 0 };
}

impl PageBuilder {
    /// A builder whose first page begins after a position.
    pub(crate) fn after(after: Position, limits: PackedPageLimits) -> Self {
        Self {
            limits,
            events_closed: 0,
            after,
            events: Vec::new(),
            count: 0,
            access_events: Vec::new(),
            devices: Vec::new(),
            last_batch: BatchStart::NONE,
            has_ended: false,
        }
    }

    /// The last position that the page may look at.
    pub(crate) fn window_end(&self) -> Position {
        Position(self.after.0.saturating_add(self.limits.positions))
    }

    /// Rows to read to reach the event limit and see where its batch ends, if every row is visible.
    pub(crate) fn rows_left(&self) -> usize {
        match self.limits.events.saturating_sub(self.events_closed + self.count) {
            0 => BATCH_END_ROWS,
            left => left.saturating_add(1),
        }
    }

    /// Whether the event limit is reached: no page follows the last one that was closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Reserves room for so many more bytes, as far as the page may have them.
    pub(crate) fn expect(&mut self, bytes: usize) {
        let room = self.limits.bytes.saturating_add(EXCESS_BYTES).saturating_sub(self.events.len());
        self.events.reserve(bytes.min(room));
    }

    /// Takes the next row; `before` is the cursor to the row before it. If a page ends in front of the row's batch,
    /// that page is returned and the batch is part of the next one.
    pub(crate) fn take(&mut self, row: &LogRow<'_>, visibility: Visibility, before: Cursor) -> Option<ClosedPage> {
        let (position, batch) = (row.event.position, row.event.batch);
        let mut closed = None;
        if batch != self.last_batch.batch {
            let check_before = (before.position.0 + 1 == batch.0).then_some(before.check);
            let (bytes, count, access_events) = (self.events.len(), self.count, self.access_events.len());
            self.last_batch = BatchStart { batch, check_before, bytes, count, access_events };
            if self.limits.is_full(self.events_closed + self.count, self.events.len()) {
                closed = Some(self.close_before_last_batch());
            }
        }
        if closed.is_none() && position > self.window_end() && batch.0 - 1 > self.after.0 {
            closed = Some(self.close_before_last_batch());
        }
        if visibility != Visibility::Hidden && !self.has_ended {
            let start = self.events.len();
            match visibility {
                Visibility::WithoutAccess => {
                    row.event.write_without_access(&mut self.events);
                    self.devices.push((position, row.event.record.to_owned()));
                }
                _ => row.event.write(&mut self.events),
            }
            self.count += 1;
            if visibility == Visibility::ChangesAccess {
                self.access_events.push((position, start..self.events.len()));
            }
        }
        closed
    }

    /// Ends the page at a batch boundary that no row has shown. A batch that begins after it is dropped.
    pub(crate) fn close_at(&mut self, end: Position, check: Option<CursorCheck>) -> ClosedPage {
        if self.last_batch.batch > end {
            self.events.truncate(self.last_batch.bytes);
            self.access_events.truncate(self.last_batch.access_events);
            self.count = self.last_batch.count;
        }
        let (bytes, count, access_events) = (self.events.len(), self.count, self.access_events.len());
        self.last_batch = BatchStart { bytes, count, access_events, ..self.last_batch };
        let closed = self.close_before_last_batch();
        self.last_batch = BatchStart::NONE;
        self.after = end;
        // A batch that began after the end was dropped, and is read again. One that did not is on this page.
        let devices =
            std::mem::take(&mut self.devices).into_iter().filter(|(at, _)| *at <= end).map(|(_, device)| device);
        let devices = closed.devices.into_iter().chain(devices).collect();
        ClosedPage { end, check, devices, ..closed }
    }

    /// Ends the page in front of its last batch, and carries the batch into the next page.
    fn close_before_last_batch(&mut self) -> ClosedPage {
        let start = self.last_batch;
        let carried = self.events.split_off(start.bytes);
        let access_events = self.access_events.split_off(start.access_events);
        let moved =
            access_events.into_iter().map(|(at, range)| (at, range.start - start.bytes..range.end - start.bytes));
        let end = Position(start.batch.0 - 1);
        let devices = self.devices.extract_if(.., |(at, _)| *at <= end).map(|(_, device)| device).collect();
        let closed = ClosedPage {
            end,
            devices,
            check: start.check_before,
            events: std::mem::replace(&mut self.events, carried),
            count: start.count,
            access_events: std::mem::replace(&mut self.access_events, moved.collect()),
        };
        self.count -= start.count;
        self.events_closed += start.count;
        self.has_ended = self.events_closed >= self.limits.events;
        self.after = closed.end;
        self.last_batch = BatchStart { bytes: 0, count: 0, access_events: 0, ..start };
        closed
    }
}
