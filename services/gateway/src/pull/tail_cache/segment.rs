//! A slice of a log in memory, without gaps: the encoded events, and what pages and filters need to know about each.

use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{DEVICES_TABLE, Position};
use tidelog_postgres::{EventFilter, LogRow, Visibility};

/// Size at which a segment is closed and the next one begins. It is small, because a segment that a reader shares is copied
/// when it grows.
const SEGMENT_BYTES_MAX: usize = 128 * 1024;

/// Consecutive events of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    /// The position of the first event.
    first: i64,
    /// The encoded events one after the other, without the rejected ones. `_devices` events are as devices see those of
    /// others.
    events: Vec<u8>,
    /// One row for each event, rejected ones included.
    rows: Vec<SegmentRow>,
    /// The names of tables that rows refer to.
    tables: Vec<Box<str>>,
    /// The names of scopes that rows refer to.
    scopes: Vec<Box<str>>,
    /// The `_devices` events, which not all readers see in the same form.
    devices: Vec<DeviceEvent>,
    /// What the names and the `_devices` events take in memory.
    side_bytes: usize,
}

/// A `_devices` event of a segment.
#[derive(Debug, Clone)]
struct DeviceEvent {
    /// The index of its row.
    index: usize,
    /// The id of the device.
    device: Box<str>,
    /// The encoded event as it is stored.
    whole: Box<[u8]>,
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
        self.events.len() + self.rows.len() * size_of::<SegmentRow>() + self.side_bytes
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
        if row.event.table == DEVICES_TABLE {
            self.push_device_event(row);
        } else if !row.is_rejected {
            row.event.write(&mut self.events);
        }
        let table = intern(&mut self.tables, row.event.table, &mut self.side_bytes);
        let scope = intern(&mut self.scopes, row.event.scope, &mut self.side_bytes);
        self.rows.push(SegmentRow {
            check: row.check,
            end: self.events.len() as u32,
            batch_offset: (position - batch) as u32,
            table,
            scope,
            is_rejected: row.is_rejected,
        });
    }

    fn push_device_event(&mut self, row: &LogRow<'_>) {
        row.event.write_without_access(&mut self.events);
        let mut whole = Vec::new();
        row.event.write(&mut whole);
        self.side_bytes += whole.len() + row.event.record.len() + size_of::<DeviceEvent>();
        let (index, device) = (self.rows.len(), row.event.record.into());
        self.devices.push(DeviceEvent { index, device, whole: whole.into() });
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
fn intern(names: &mut Vec<Box<str>>, name: &str, side_bytes: &mut usize) -> u32 {
    let index = names.iter().rposition(|known| **known == *name).unwrap_or_else(|| {
        names.push(name.into());
        *side_bytes += name.len() + size_of::<Box<str>>();
        names.len() - 1
    });
    index as u32
}

/// An event of a segment as a reader sees it.
pub(crate) struct SegmentEvent<'a> {
    pub(crate) cursor: Cursor,
    /// The position of the first event of its batch.
    pub(crate) batch: Position,
    pub(crate) visibility: Visibility,
    /// The encoded event, if the reader sees it in another form than the segment has it in.
    pub(crate) whole: Option<&'a [u8]>,
    /// Where the encoded event begins in the segment.
    pub(crate) start: usize,
    /// Where the encoded event ends in the segment; equal to `start` if it was rejected.
    pub(crate) end: usize,
}

impl SegmentEvent<'_> {
    /// Whether the reader sees the event in the form that the segment has it in.
    pub(crate) fn is_shared(&self) -> bool {
        self.visibility != Visibility::Hidden && self.whole.is_none()
    }
}

/// A segment seen through a reader's filter (SEC-1). Each name is looked up in the filter once, not once for each event.
pub(crate) struct FilteredSegment {
    segment: Arc<Segment>,
    /// For each table name, how the reader sees its events; `None` if it does not belong to the server.
    server_tables: Vec<Option<Visibility>>,
    /// How the reader sees each `_devices` event.
    devices: Vec<Visibility>,
    /// For each table name, whether the filter shows the table.
    shows_table: Vec<bool>,
    /// For each scope name, whether the filter shows the scope.
    shows_scope: Vec<bool>,
}

impl FilteredSegment {
    pub(crate) fn new(segment: Arc<Segment>, filter: &EventFilter) -> Self {
        Self {
            server_tables: segment
                .tables
                .iter()
                .map(|table| table.starts_with('_').then(|| filter.visibility_of_server_event(table, "")))
                .collect(),
            devices: segment
                .devices
                .iter()
                .map(|event| filter.visibility_of_server_event(DEVICES_TABLE, &event.device))
                .collect(),
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
    pub(crate) fn event(&self, index: usize) -> Option<SegmentEvent<'_>> {
        let row = self.segment.rows.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.segment.rows.get(before));
        let position = Position(self.segment.first + index as i64);
        let (table, scope) = (row.table as usize, row.scope as usize);
        let (visibility, whole) = match self.server_tables[table] {
            _ if row.is_rejected => (Visibility::Hidden, None),
            Some(visibility) => self.device_event(index).unwrap_or((visibility, None)),
            None if self.shows_table[table] && self.shows_scope[scope] => (Visibility::Whole, None),
            None => (Visibility::Hidden, None),
        };
        Some(SegmentEvent {
            cursor: Cursor { position, check: row.check },
            batch: Position(position.0 - i64::from(row.batch_offset)),
            visibility,
            whole,
            start: before.map_or(0, |before| before.end as usize),
            end: row.end as usize,
        })
    }

    /// How the reader sees the `_devices` event at an index, and its encoded form if that is not the segment's. `None`: the
    /// event is of another table.
    fn device_event(&self, index: usize) -> Option<(Visibility, Option<&[u8]>)> {
        let at = self.segment.devices.binary_search_by_key(&index, |event| event.index).ok()?;
        let visibility = self.devices[at];
        let whole = (visibility != Visibility::WithoutAccess).then(|| &*self.segment.devices[at].whole);
        Some((visibility, whole))
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
