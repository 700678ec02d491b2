//! A slice of a log in memory, without gaps: the encoded events, and what pages and filters need to know about each.

use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{CATALOG_TABLE, Position};
use tidelog_postgres::{EventFilter, LogRow};

/// Size at which a segment is closed and the next one begins. It is small, because a segment that a reader shares is copied
/// when it grows.
const SEGMENT_BYTES_MAX: usize = 128 * 1024;

/// Consecutive events of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    /// The position of the first event.
    first: i64,
    /// The encoded events one after the other, without the rejected ones.
    events: Vec<u8>,
    /// One row for each event, rejected ones included.
    rows: Vec<SegmentRow>,
    /// The names of tables that rows refer to.
    tables: Vec<Box<str>>,
    /// The names of scopes that rows refer to.
    scopes: Vec<Box<str>>,
    /// What the names take in memory.
    names_bytes: usize,
}

/// An event of a segment, without its encoded form.
#[derive(Debug, Clone, Copy)]
struct SegmentRow {
    check: CursorCheck,
    /// Where the encoded event ends. It begins where the one before it ends.
    end: u32,
    /// The event's position minus that of the first event of its batch.
    batch_offset: u32,
    /// Index of the table's name.
    table: u32,
    /// Index of the scope's name.
    scope: u32,
    is_rejected: bool,
}

impl Segment {
    /// Whether the segment may take further events.
    pub(crate) fn is_open(&self) -> bool {
        self.bytes() < SEGMENT_BYTES_MAX
    }

    /// Roughly what the segment takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.events.len() + self.rows.len() * size_of::<SegmentRow>() + self.names_bytes
    }

    /// The number of events, rejected ones included.
    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Appends the next event.
    pub(crate) fn push(&mut self, row: &LogRow<'_>) {
        let (position, batch) = (row.event.position.0, row.event.batch.0);
        if self.rows.is_empty() {
            self.first = position;
        }
        if !row.is_rejected {
            row.event.write(&mut self.events);
        }
        let table = intern(&mut self.tables, row.event.table, &mut self.names_bytes);
        let scope = intern(&mut self.scopes, row.event.scope, &mut self.names_bytes);
        self.rows.push(SegmentRow {
            check: row.check,
            end: self.events.len() as u32,
            batch_offset: (position - batch) as u32,
            table,
            scope,
            is_rejected: row.is_rejected,
        });
    }

    /// The position of the last event.
    pub(crate) fn last(&self) -> Position {
        Position(self.first + self.rows.len() as i64 - 1)
    }

    /// The check that a cursor at a position must have. `None` if the event there is not in this segment.
    pub(crate) fn check_at(&self, position: Position) -> Option<CursorCheck> {
        let index = usize::try_from(position.0 - self.first).ok()?;
        self.rows.get(index).map(|row| row.check)
    }
}

/// The index of a name in a list. Adds the name if it is not there yet.
fn intern(names: &mut Vec<Box<str>>, name: &str, names_bytes: &mut usize) -> u32 {
    let index = names.iter().rposition(|known| **known == *name).unwrap_or_else(|| {
        names.push(name.into());
        *names_bytes += name.len() + size_of::<Box<str>>();
        names.len() - 1
    });
    index as u32
}

/// An event of a segment as a reader sees it.
pub(crate) struct SegmentEvent {
    pub(crate) cursor: Cursor,
    /// The position of the first event of its batch.
    pub(crate) batch: Position,
    pub(crate) is_visible: bool,
    pub(crate) is_catalog: bool,
    /// Where the encoded event begins in the segment.
    pub(crate) start: usize,
    /// Where the encoded event ends in the segment; equal to `start` if it was rejected.
    pub(crate) end: usize,
}

/// A segment seen through a reader's filter (SEC-1). Each name is looked up in the filter once, not once for each event.
pub(crate) struct FilteredSegment {
    segment: Arc<Segment>,
    /// For each table name, whether it is `_catalog`.
    is_catalog: Vec<bool>,
    /// For each table name, whether the filter shows the table.
    shows_table: Vec<bool>,
    /// For each scope name, whether the filter shows the scope.
    shows_scope: Vec<bool>,
}

impl FilteredSegment {
    pub(crate) fn new(segment: Arc<Segment>, filter: &EventFilter) -> Self {
        Self {
            is_catalog: segment.tables.iter().map(|table| **table == *CATALOG_TABLE).collect(),
            shows_table: segment.tables.iter().map(|table| filter.shows_table(table)).collect(),
            shows_scope: segment.scopes.iter().map(|scope| filter.shows_scope(scope)).collect(),
            segment,
        }
    }

    /// The index of the first event after a position.
    pub(crate) fn index_after(&self, position: Position) -> usize {
        usize::try_from(position.0 + 1 - self.segment.first).unwrap_or_default()
    }

    /// The event at an index.
    pub(crate) fn event(&self, index: usize) -> Option<SegmentEvent> {
        let row = self.segment.rows.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.segment.rows.get(before));
        let position = Position(self.segment.first + index as i64);
        let (table, scope) = (row.table as usize, row.scope as usize);
        let is_catalog = self.is_catalog[table];
        Some(SegmentEvent {
            cursor: Cursor { position, check: row.check },
            batch: Position(position.0 - i64::from(row.batch_offset)),
            is_visible: !row.is_rejected && (is_catalog || (self.shows_table[table] && self.shows_scope[scope])),
            is_catalog,
            start: before.map_or(0, |before| before.end as usize),
            end: row.end as usize,
        })
    }

    /// A slice of the encoded events that shares the segment's memory.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Bytes {
        Bytes::from_owner(SharedEvents(Arc::clone(&self.segment))).slice(start..end)
    }

    /// A slice of the encoded events.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> &[u8] {
        &self.segment.events[start..end]
    }
}

/// The encoded events of a segment, which stay in memory as long as a response shares them.
struct SharedEvents(Arc<Segment>);

impl AsRef<[u8]> for SharedEvents {
    fn as_ref(&self) -> &[u8] {
        &self.0.events
    }
}
