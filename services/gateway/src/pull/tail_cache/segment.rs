//! A dense slice of a log in memory: its events encoded, and of each what pages and filters need.

use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{CATALOG_TABLE, Position};
use tidelog_postgres::{EventFilter, LogRow};

/// After how many bytes another segment begins: small enough to be copied when one that is being read grows.
const SEGMENT_BYTES: usize = 128 * 1024;

/// Events side by side in the log, rejected ones included.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    first: i64,
    events: Vec<u8>,
    rows: Vec<Row>,
    tables: Vec<Box<str>>,
    scopes: Vec<Box<str>>,
    names_bytes: usize,
}

/// What is kept of an event beside its encoded form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    check: CursorCheck,
    /// Where its encoded form ends; it begins where the one before ends.
    end: u32,
    batch_offset: u32,
    table: u32,
    scope: u32,
    is_rejected: bool,
}

impl Segment {
    /// Whether there is room for more.
    pub(crate) fn is_open(&self) -> bool {
        self.bytes() < SEGMENT_BYTES
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.events.len() + self.rows.len() * size_of::<Row>() + self.names_bytes
    }

    /// How many events there are.
    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Takes the event that follows.
    pub(crate) fn push(&mut self, row: &LogRow<'_>) {
        let (position, batch) = (row.event.position.0, row.event.batch.0);
        if self.rows.is_empty() {
            self.first = position;
        }
        if !row.is_rejected {
            row.event.write(&mut self.events);
        }
        let table = place_of(&mut self.tables, row.event.table, &mut self.names_bytes);
        let scope = place_of(&mut self.scopes, row.event.scope, &mut self.names_bytes);
        self.rows.push(Row {
            check: row.check,
            end: self.events.len() as u32,
            batch_offset: (position - batch) as u32,
            table,
            scope,
            is_rejected: row.is_rejected,
        });
    }

    /// The position of its last event.
    pub(crate) fn last(&self) -> Position {
        Position(self.first + self.rows.len() as i64 - 1)
    }

    /// What a cursor at a position proves, if the event there is in it.
    pub(crate) fn check_at(&self, position: Position) -> Option<CursorCheck> {
        let index = usize::try_from(position.0 - self.first).ok()?;
        self.rows.get(index).map(|row| row.check)
    }
}

/// Where a name stands in a list, which it is added to where it is not yet.
fn place_of(names: &mut Vec<Box<str>>, name: &str, names_bytes: &mut usize) -> u32 {
    let place = names.iter().rposition(|known| **known == *name).unwrap_or_else(|| {
        names.push(name.into());
        *names_bytes += name.len() + size_of::<Box<str>>();
        names.len() - 1
    });
    place as u32
}

/// An event of a segment, as one reader has it.
pub(crate) struct SegmentEvent {
    pub(crate) cursor: Cursor,
    pub(crate) batch: Position,
    pub(crate) is_visible: bool,
    pub(crate) is_catalog: bool,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A segment with what a filter makes of its names (SEC-1).
pub(crate) struct FilteredSegment {
    segment: Arc<Segment>,
    catalogs: Vec<bool>,
    tables: Vec<bool>,
    scopes: Vec<bool>,
}

impl FilteredSegment {
    pub(crate) fn new(segment: Arc<Segment>, filter: &EventFilter) -> Self {
        Self {
            catalogs: segment.tables.iter().map(|table| **table == *CATALOG_TABLE).collect(),
            tables: segment.tables.iter().map(|table| filter.shows_table(table)).collect(),
            scopes: segment.scopes.iter().map(|scope| filter.shows_scope(scope)).collect(),
            segment,
        }
    }

    /// The first event after a position.
    pub(crate) fn index_after(&self, position: Position) -> usize {
        usize::try_from(position.0 + 1 - self.segment.first).unwrap_or_default()
    }

    /// The event at an index.
    pub(crate) fn see(&self, index: usize) -> Option<SegmentEvent> {
        let row = self.segment.rows.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.segment.rows.get(before));
        let position = Position(self.segment.first + index as i64);
        let (table, scope) = (row.table as usize, row.scope as usize);
        let is_catalog = self.catalogs[table];
        Some(SegmentEvent {
            cursor: Cursor { position, check: row.check },
            batch: Position(position.0 - i64::from(row.batch_offset)),
            is_visible: !row.is_rejected && (is_catalog || (self.tables[table] && self.scopes[scope])),
            is_catalog,
            start: before.map_or(0, |before| before.end as usize),
            end: row.end as usize,
        })
    }

    /// A slice of the encoded events, shared.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Bytes {
        Bytes::from_owner(Events(Arc::clone(&self.segment))).slice(start..end)
    }

    /// The same, borrowed.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> &[u8] {
        &self.segment.events[start..end]
    }
}

/// Keeps a segment for as long as bytes of it are on their way.
struct Events(Arc<Segment>);

impl AsRef<[u8]> for Events {
    fn as_ref(&self) -> &[u8] {
        &self.0.events
    }
}
