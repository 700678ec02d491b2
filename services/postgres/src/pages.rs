//! Pages of the log: whole batches, bounded in events, bytes and positions (PULL-1).

use tidelog_core::cursor::Cursor;
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, Position, Scopes, TableName, WorkspaceId};
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::client::Store;
use crate::error::StoreError;
use crate::rows::event_of;

/// What of a log somebody may see. `_catalog` events are everyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    tables: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl EventFilter {
    /// Everything.
    pub fn all() -> Self {
        Self { tables: None, scopes: None }
    }

    /// These tables (`None`: all) within these scopes.
    pub fn new<'a>(tables: Option<impl Iterator<Item = &'a TableName>>, scopes: &Scopes) -> Self {
        let scopes = match scopes {
            Scopes::All => None,
            Scopes::Listed(_) => Some([String::new()].into_iter().chain(scopes.to_list()).collect()),
        };
        Self { tables: tables.map(|tables| tables.map(|table| table.as_str().to_owned()).collect()), scopes }
    }

    /// Whether it shows the events of a table in a scope that were not rejected.
    pub fn shows(&self, table: &str, scope: &str) -> bool {
        table == CATALOG_TABLE || (self.shows_table(table) && self.shows_scope(scope))
    }

    /// Whether it shows a table, in some scope.
    pub fn shows_table(&self, table: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.iter().any(|shown| shown == table))
    }

    /// Whether it shows a scope, of some table.
    pub fn shows_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|shown| shown == scope))
    }

    pub(crate) fn tables(&self) -> Option<&[String]> {
        self.tables.as_deref()
    }

    pub(crate) fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }
}

/// After how much a page ends at the next batch boundary.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Visible events.
    pub events: usize,
    /// Bytes of fields, by what they take in memory.
    pub bytes: usize,
    /// Positions looked at; above the largest batch.
    pub positions: i64,
}

/// A stretch of a log.
#[derive(Debug)]
pub struct EventPage {
    /// The visible events, in order, whole batches.
    pub events: Vec<Event>,
    /// Where the stretch ends: a batch boundary, whatever is visible there.
    pub end: Cursor,
    /// The head when it was read.
    pub head: Position,
}

/// Rows of the first read of a page; later ones are sized by what those weighed.
const CHUNK_ROWS_FIRST: usize = 128;
const CHUNK_ROWS_MAX: usize = 2_000;
const CHUNK_BYTES: usize = 1024 * 1024;

impl Store {
    /// Reads the page after `after`, a batch boundary, in a log whose head is known to be at least `head`.
    pub async fn page(
        &self,
        workspace: WorkspaceId,
        after: Position,
        head: Position,
        filter: &EventFilter,
        limits: PageLimits,
    ) -> Result<EventPage, StoreError> {
        let window_end = self.window_end(workspace, after, head, limits.positions).await?;
        let mut page = Filling { events: Vec::new(), bytes: 0, limits, full_in_batch: None };
        let (mut read_to, mut chunk_rows) = (after, CHUNK_ROWS_FIRST.min(limits.events + 1));
        let end = loop {
            let rows = self.chunk(workspace, read_to, window_end, filter, chunk_rows).await?;
            if let Some(next_batch) = page.take(&rows)? {
                break Position(next_batch.0 - 1);
            }
            if rows.len() < chunk_rows {
                break window_end;
            }
            read_to = page.events.last().map_or(window_end, |event| event.position);
            chunk_rows = page.next_chunk_rows();
        };
        let end = match page.events.last() {
            Some(last) if last.position == end => last.cursor(),
            Some(_) | None => self.cursor_at(workspace, end).await?,
        };
        Ok(EventPage { events: page.events, end, head })
    }

    /// The last batch boundary within `positions` of `after`.
    async fn window_end(
        &self,
        workspace: WorkspaceId,
        after: Position,
        head: Position,
        positions: i64,
    ) -> Result<Position, StoreError> {
        let far = after.0.saturating_add(positions);
        if far >= head.0 {
            return Ok(head);
        }
        let batch = self.batch_at(workspace, Position(far + 1)).await?;
        let batch = batch.ok_or_else(|| StoreError::corrupt(format_args!("no event at position {}", far + 1)))?;
        Ok(Position(batch.0 - 1))
    }

    async fn chunk(
        &self,
        workspace: WorkspaceId,
        after: Position,
        to: Position,
        filter: &EventFilter,
        rows: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = include_str!("../sql/log/events_after.sql");
        let (tables, scopes) = (filter.tables(), filter.scopes());
        self.query(sql, &[&workspace.0, &after.0, &to.0, &tables, &scopes, &(rows as i64)]).await
    }
}

/// A page that takes rows until it is full and the batch it filled up in has ended.
struct Filling {
    events: Vec<Event>,
    bytes: usize,
    limits: PageLimits,
    full_in_batch: Option<Position>,
}

impl Filling {
    /// Takes rows; the batch of the first one that no longer belongs to the page, if there is one among them.
    fn take(&mut self, rows: &[Row]) -> Result<Option<Position>, StoreError> {
        for row in rows {
            let batch = Position(row.try_get("batch")?);
            if self.full_in_batch.is_some_and(|full| full != batch) {
                return Ok(Some(batch));
            }
            let event = event_of(row)?;
            // What it takes once it is read: small values take many times their stored size.
            self.bytes += event.intent.fields().map_or(0, Fields::weight);
            self.events.push(event);
            if self.events.len() >= self.limits.events || self.bytes >= self.limits.bytes {
                self.full_in_batch = Some(batch);
            }
        }
        Ok(None)
    }

    fn next_chunk_rows(&self) -> usize {
        let row_bytes = self.bytes / self.events.len().max(1) + 200;
        (CHUNK_BYTES / row_bytes).clamp(16, CHUNK_ROWS_MAX)
    }
}
