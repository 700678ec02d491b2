//! Reads pages from a tail. They have the same events as pages from the database (PULL-1).

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::Position;
use tidelog_postgres::{EventFilter, PackedPageLimits, Visibility};

use crate::pull::page::Page;
use crate::pull::tail_cache::segment::{FilteredSegment, Segment, SegmentEvent};

/// Smallest run of visible events that a page shares with the tail. A shorter one is copied, which costs less.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// A snapshot of the end of a log, up to its head.
#[derive(Debug, Clone)]
pub(crate) struct TailView {
    /// The last position of the log.
    pub(crate) head: Position,
    /// The catalog version in the last `_catalog` event of the log.
    pub(crate) catalog_version: i64,
    /// The position of the last event that changed what a device may do; 0 if there is none.
    pub(crate) access_position: Position,
    /// The cursor after which the first segment begins.
    pub(crate) start: Cursor,
    /// The events, without a gap.
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl TailView {
    /// The check that a cursor at a position must have. `None` if the view begins after the position or ends before it.
    pub(crate) fn check_at(&self, position: Position) -> Option<CursorCheck> {
        if position == self.start.position {
            return Some(self.start.check);
        }
        let index = self.segments.partition_point(|segment| segment.last() < position);
        self.segments.get(index)?.check_at(position)
    }

    /// Whether the view reaches back to a position.
    pub(crate) fn covers(&self, position: Position) -> bool {
        self.start.position <= position
    }
}

/// Reads the events of a view that a filter shows, page by page.
pub(crate) struct TailReader {
    segments: VecDeque<Arc<Segment>>,
    filter: EventFilter,
    limits: PackedPageLimits,
    /// The end of the last page.
    after: Cursor,
    /// The number of events on all pages so far.
    events: usize,
}

impl TailReader {
    /// A reader of the events after a cursor that the view covers. No view has more events than a page may look at.
    pub(crate) fn new(view: &TailView, after: Cursor, filter: EventFilter, limits: PackedPageLimits) -> Self {
        let first = view.segments.partition_point(|segment| segment.last() <= after.position);
        Self { segments: view.segments[first..].iter().cloned().collect(), filter, limits, after, events: 0 }
    }

    /// The next page. `None` after the last one, or once all pages have the maximum number of events.
    pub(crate) fn next_page(&mut self) -> Option<Page> {
        if self.segments.is_empty() || self.events >= self.limits.events {
            return None;
        }
        let mut page =
            PageBuilder { page: Page::empty(self.after), batch: Position::START, copied: Vec::new(), bytes: 0 };
        while let Some(segment) = self.segments.front() {
            let filtered = FilteredSegment::new(Arc::clone(segment), &self.filter);
            if self.fill(&mut page, &filtered).is_break() {
                break;
            }
            self.segments.pop_front();
        }
        let page = page.finish();
        self.after = page.end;
        self.events += page.count;
        Some(page)
    }

    /// Adds events of a segment to a page. Breaks if the page is full before the segment ends; a page ends only in front of
    /// a batch.
    fn fill(&self, page: &mut PageBuilder, segment: &FilteredSegment) -> ControlFlow<()> {
        let mut index = segment.index_after(page.page.end.position);
        // Where in the segment a run of visible events starts and ends.
        let mut run = None::<(usize, usize)>;
        let mut flow = ControlFlow::Continue(());
        while let Some(event) = segment.event(index) {
            let is_full = self.limits.is_full(self.events + page.page.count, page.bytes);
            if is_full && event.batch != page.batch {
                flow = ControlFlow::Break(());
                break;
            }
            run = match run {
                Some((start, _)) if event.is_shared() => Some((start, event.end)),
                None if event.is_shared() => Some((event.start, event.end)),
                // A hidden event has bytes between the visible ones, so the run ends. A rejected one has none.
                Some((start, end)) if event.start < event.end => {
                    page.add(segment, start, end);
                    None
                }
                other => other,
            };
            page.note(segment, &event);
            index += 1;
        }
        if let Some((start, end)) = run {
            page.add(segment, start, end);
        }
        flow
    }
}

/// Builds a page from the segments of a tail.
///
/// The events are in memory, so the reader looks at the next batch before it takes it, and a page shares the encoded
/// events of the segments. `tidelog_postgres` builds pages from rows as they arrive, where neither is possible; the two
/// have [`PackedPageLimits::is_full`] in common. No page of a tail can look too far: see [`TailReader::new`].
struct PageBuilder {
    /// The page so far. Its end is the last event that was looked at, visible or not.
    page: Page,
    /// The batch of that event.
    batch: Position,
    /// Copies of short runs that are not yet a part of the page.
    copied: Vec<u8>,
    /// Bytes of all visible events so far.
    bytes: usize,
}

impl PageBuilder {
    /// Counts an event and moves the end of the page to it. Adds the event itself if the reader sees it in another form than
    /// the segment has it in.
    fn note(&mut self, segment: &FilteredSegment, event: &SegmentEvent<'_>) {
        (self.page.end, self.batch) = (event.cursor, event.batch);
        if event.visibility == Visibility::Hidden {
            return;
        }
        self.page.count += 1;
        self.bytes += event.whole.map_or(event.end - event.start, <[u8]>::len);
        if let Some(whole) = event.whole {
            self.copied.extend_from_slice(whole);
        }
        if event.visibility == Visibility::ChangesAccess {
            let encoded = event.whole.map(Bytes::copy_from_slice);
            let encoded = encoded.unwrap_or_else(|| segment.slice(event.start, event.end));
            self.page.access_events.push((event.cursor.position, encoded));
        }
    }

    /// Adds the bytes of a run of visible events.
    fn add(&mut self, segment: &FilteredSegment, start: usize, end: usize) {
        if end - start < SHARED_BYTES_MIN {
            self.copied.extend_from_slice(segment.bytes(start, end));
            return;
        }
        self.flush();
        self.page.events.push(segment.slice(start, end));
    }

    /// Makes the copied runs a part of the page.
    fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.page.events.push(Bytes::from(std::mem::take(&mut self.copied)));
        }
    }

    fn finish(mut self) -> Page {
        self.flush();
        self.page
    }
}
