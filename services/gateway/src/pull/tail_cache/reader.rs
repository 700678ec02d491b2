//! Reads pages out of a tail: the same that the log gives (PULL-1).

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::Position;
use tidelog_postgres::{EventFilter, PackedPageLimits};

use crate::pull::page::Page;
use crate::pull::tail_cache::segment::{FilteredSegment, Segment, SegmentEvent};

/// A shorter slice of visible events is copied to the ones before it: to share it would cost more.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// The end of a log as it was when somebody asked, up to its head.
#[derive(Debug, Clone)]
pub(crate) struct TailView {
    /// The last position of the log.
    pub(crate) head: Position,
    /// The version of the last `_catalog` event.
    pub(crate) catalog_version: i64,
    pub(crate) start: Cursor,
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl TailView {
    /// What a cursor at a position has to prove. `None`: the view begins after it, or ends before it.
    pub(crate) fn check_at(&self, position: Position) -> Option<CursorCheck> {
        if position == self.start.position {
            return Some(self.start.check);
        }
        let index = self.segments.partition_point(|segment| segment.last() < position);
        self.segments.get(index)?.check_at(position)
    }

    /// Whether it reaches back to a position.
    pub(crate) fn covers(&self, position: Position) -> bool {
        self.start.position <= position
    }
}

/// Gives what a filter shows of a view, page by page.
pub(crate) struct TailReader {
    segments: VecDeque<Arc<Segment>>,
    filter: EventFilter,
    limits: PackedPageLimits,
    after: Cursor,
    given: usize,
}

impl TailReader {
    /// Reads a view, which covers `after` and is not longer than a page may look.
    pub(crate) fn new(view: &TailView, after: Cursor, filter: EventFilter, limits: PackedPageLimits) -> Self {
        let behind = view.segments.partition_point(|segment| segment.last() <= after.position);
        Self { segments: view.segments[behind..].iter().cloned().collect(), filter, limits, after, given: 0 }
    }

    /// The next page; `None` after the last one, or the most events.
    pub(crate) fn next_page(&mut self) -> Option<Page> {
        if self.segments.is_empty() || self.given >= self.limits.events {
            return None;
        }
        let mut page =
            PageBuilder { page: Page::empty(self.after), batch: Position::START, copied: Vec::new(), bytes: 0 };
        while let Some(segment) = self.segments.front() {
            let filtered = FilteredSegment::new(Arc::clone(segment), &self.filter);
            let is_over = self.read(&filtered, &mut page);
            if is_over {
                break;
            }
            self.segments.pop_front();
        }
        let page = page.done();
        self.after = page.end;
        self.given += page.count;
        Some(page)
    }

    /// Takes what a page may have of a segment; whether the page ends in front of what is left.
    fn read(&self, filtered: &FilteredSegment, page: &mut PageBuilder) -> bool {
        let mut index = filtered.index_after(page.page.end.position);
        let mut run = None::<(usize, usize)>;
        let mut is_over = false;
        while let Some(seen) = filtered.see(index) {
            let is_full = self.limits.is_full(self.given + page.page.count, page.bytes);
            if is_full && seen.batch != page.batch {
                is_over = true;
                break;
            }
            run = match run {
                Some((start, _)) if seen.is_visible => Some((start, seen.end)),
                None if seen.is_visible => Some((seen.start, seen.end)),
                Some((start, end)) if seen.start < seen.end => {
                    page.add(filtered, start, end);
                    None
                }
                other => other,
            };
            page.note(filtered, &seen);
            index += 1;
        }
        if let Some((start, end)) = run {
            page.add(filtered, start, end);
        }
        is_over
    }
}

/// Builds a page from the segments of a tail.
///
/// The events are in memory, so the reader looks at the next batch before it takes it, and a page shares the encoded
/// events of the segments. `tidelog_postgres` builds pages from rows as they arrive, where neither is possible; the two
/// have [`PackedPageLimits::is_full`] in common. No page of a tail can look too far: see [`TailReader::new`].
struct PageBuilder {
    /// Its end is the last event that was looked at.
    page: Page,
    batch: Position,
    copied: Vec<u8>,
    bytes: usize,
}

impl PageBuilder {
    fn note(&mut self, filtered: &FilteredSegment, seen: &SegmentEvent) {
        (self.page.end, self.batch) = (seen.cursor, seen.batch);
        if seen.is_visible {
            self.page.count += 1;
            self.bytes += seen.end - seen.start;
            if seen.is_catalog {
                self.page.catalogs.push((seen.cursor.position, filtered.slice(seen.start, seen.end)));
            }
        }
    }

    fn add(&mut self, filtered: &FilteredSegment, start: usize, end: usize) {
        if end - start < SHARED_BYTES_MIN {
            self.copied.extend_from_slice(filtered.bytes(start, end));
            return;
        }
        self.flush();
        self.page.events.push(filtered.slice(start, end));
    }

    fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.page.events.push(Bytes::from(std::mem::take(&mut self.copied)));
        }
    }

    fn done(mut self) -> Page {
        self.flush();
        self.page
    }
}
