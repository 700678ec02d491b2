//! What a pull does, apart from HTTP: check the cursor, read a page, wait for one, read many ahead of their reader.

pub(crate) mod access_change;
pub(crate) mod page;
pub(crate) mod tail_cache;

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, TableName};
use tidelog_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_DEFAULT, PAGE_POSITIONS_MAX};
use tidelog_core::wire::PullResponse;
use tidelog_postgres::{InForce, LogReader, PackedPageLimits, Presence};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::error::{ApiError, diverged};
use crate::pull::access_change::AccessChange;
use crate::pull::page::Page;
use crate::pull::tail_cache::{TailReader, TailView};

/// How often a waiting pull looks for itself, and whether its device may still read.
const WAIT_POLL: Duration = Duration::from_millis(1_000);
/// Bytes of events after which a page of a stream ends: with the one that is read ahead, and what of both the socket has
/// taken over, no more than a few of these are in memory for a reader, however slow.
const STREAM_PAGE_BYTES: usize = 512 * 1024;

/// What a pull asks for.
#[derive(Debug, Clone)]
pub(crate) struct PullRequest {
    pub(crate) after: Cursor,
    pub(crate) limit: usize,
    pub(crate) tables: Option<Vec<TableName>>,
    pub(crate) wait: Duration,
}

impl PullRequest {
    /// All that is readable after a cursor, in pages of the default size.
    pub(crate) fn after(after: Cursor) -> Self {
        Self { after, limit: PAGE_EVENTS_DEFAULT, tables: None, wait: Duration::ZERO }
    }
}

/// A log as a pull found it: how far it goes, the catalog that says what of it may be seen, and its end, if that is in
/// memory from the pull's cursor on.
pub(crate) struct LogState {
    pub(crate) head: Position,
    pub(crate) in_force: Arc<InForce>,
    tail: Option<TailView>,
}

/// Pages on their way to a reader.
pub(crate) enum Pages {
    /// In memory already, and counted as they are taken.
    Tail(TailReader, IntCounter),
    /// Read ahead from the log.
    Log(mpsc::Receiver<Result<Page, ApiError>>),
}

impl Pages {
    /// The next page, if there is one.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        match self {
            Self::Tail(tail, count) => Ok(tail.next_page().inspect(|_| count.inc())),
            Self::Log(pages) => pages.recv().await.transpose(),
        }
    }
}

impl Gateway {
    /// A page of events, and the answer's members beside them; waits for one if it is asked to and there is none.
    pub(crate) async fn pull(&self, reader: &Reader, pull: &PullRequest) -> Result<(PullResponse, Page), ApiError> {
        let deadline = Instant::now() + pull.wait;
        let mut after = pull.after;
        let (page, found) = loop {
            let found = self.find(reader, after).await?;
            let page = self.page(reader, after, &found, pull).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if page.count > 0 || page.end.position < found.head || left.is_zero() {
                break (page, found);
            }
            after = page.end;
            let stream = &self.metrics.open_streams;
            stream.inc();
            self.wakeups.wait_appended(reader.workspace(), after.position, left.min(WAIT_POLL)).await;
            stream.dec();
            self.prove_again(reader).await?;
        };
        self.note_read(reader, pull.after);
        self.metrics.events_pulled.inc_by(page.count as u64);
        let access = self.changed_access(reader, &found.in_force.catalog, &page.catalogs).await?;
        Ok((self.response_of(&page, found.head, access).await?, page))
    }

    /// The members that the answer with a page has beside the events.
    pub(crate) async fn response_of(
        &self,
        page: &Page,
        head: Position,
        access: AccessChange,
    ) -> Result<PullResponse, ApiError> {
        let (resync, drop) = access.into_lists();
        Ok(PullResponse {
            cursor: page.end,
            position: page.end.position,
            more: page.end.position < head,
            head,
            catalog: self.catalog.current().await?.0.version.0,
            server_time: self.runtime.clock.now(),
            resync,
            drop,
            events: Vec::new(),
        })
    }

    /// Finds the log that a cursor is of, and refuses one of another.
    pub(crate) async fn find(&self, reader: &Reader, after: Cursor) -> Result<LogState, ApiError> {
        let workspace = reader.workspace();
        if let Some(tail) = self.tails.view(workspace, after.position).await? {
            return self.found_in(tail, after).await;
        }
        let (head, catalog_version) = self.check_cursor(reader, after).await?;
        match self.tails.begin(workspace, after, head).await? {
            Some(tail) => self.found_in(tail, after).await,
            None => Ok(LogState { head, in_force: self.catalog.of_log(catalog_version).await?, tail: None }),
        }
    }

    /// The tail is of the log that stands in the database now, so it knows each cursor of it.
    async fn found_in(&self, tail: TailView, after: Cursor) -> Result<LogState, ApiError> {
        match tail.check_at(after.position) {
            None => return Err(ahead()),
            Some(check) if check != after.check => return Err(diverged()),
            Some(_) => {}
        }
        let in_force = self.catalog.of_log(tail.catalog_version).await?;
        Ok(LogState { head: tail.head, in_force, tail: Some(tail) })
    }

    /// Refuses a cursor that this log did not make; the head of the log and the version of its catalog.
    pub(crate) async fn check_cursor(&self, reader: &Reader, cursor: Cursor) -> Result<(Position, i64), ApiError> {
        let head = self.store.head(reader.workspace(), cursor.position).await?.ok_or_else(revoked)?;
        if cursor.position > head.head {
            return Err(ahead());
        }
        if cursor.position > Position::START && head.check != Some(cursor.check) {
            return Err(diverged());
        }
        Ok((head.head, head.catalog_version))
    }

    /// One page after a cursor.
    async fn page(
        &self,
        reader: &Reader,
        after: Cursor,
        found: &LogState,
        pull: &PullRequest,
    ) -> Result<Page, ApiError> {
        if found.head <= after.position {
            return Ok(Page::empty(after));
        }
        let timer = self.metrics.pull_seconds.start_timer();
        let page = match self.source(reader, after, found, pull, PAGE_BYTES_MAX) {
            Source::Tail(mut tail, count) => tail.next_page().inspect(|_| count.inc()),
            Source::Log(mut log, count) => {
                count.inc();
                // Where the connection is driven: rows that cross from thread to thread cost more than all that is done
                // to them.
                let page = self.tasks.spawn(async move { log.next_page().await }).await;
                page.map_err(|_| ApiError::unavailable("the server is stopping"))??.map(Page::from)
            }
        };
        timer.observe_duration();
        Ok(page.unwrap_or_else(|| Page::empty(after)))
    }

    /// Where a pull's pages of so many bytes come from.
    fn source(&self, reader: &Reader, after: Cursor, found: &LogState, pull: &PullRequest, bytes: usize) -> Source {
        let filter = reader.filter(&found.in_force, pull.tables.as_deref());
        let limits = PackedPageLimits { events: pull.limit, bytes, positions: PAGE_POSITIONS_MAX };
        match &found.tail {
            Some(tail) => {
                let count = self.metrics.pages.with_label_values(&["tail"]);
                Source::Tail(TailReader::new(tail, after, filter, limits), count)
            }
            None => {
                let (count, range) = (self.metrics.pages.with_label_values(&["log"]), (after, found.head));
                let log = LogReader::new(self.store.clone(), reader.workspace(), filter, range, limits);
                Source::Log(Box::new(log), count)
            }
        }
    }

    /// Every page up to where the log was found to end, or until `limit` events. While one is sent, the next ones are
    /// read; no database connection is held while they wait for the reader.
    pub(crate) fn pages(&self, reader: &Reader, found: &LogState, pull: &PullRequest) -> Pages {
        let (mut log, count) = match self.source(reader, pull.after, found, pull, STREAM_PAGE_BYTES) {
            Source::Tail(tail, count) => return Pages::Tail(tail, count),
            Source::Log(log, count) => (log, count),
        };
        let (sender, pages) = mpsc::channel(1);
        self.tasks.spawn(async move {
            while let Some(page) = log.next_page().await.transpose() {
                let has_failed = page.is_err();
                count.inc();
                let page = page.map(Page::from).map_err(ApiError::from);
                if sender.send(page).await.is_err() || has_failed {
                    return;
                }
            }
        });
        Pages::Log(pages)
    }

    /// Notes that a device was here and has taken in everything up to its cursor.
    pub(crate) fn note_read(&self, reader: &Reader, read_to: Cursor) {
        let Some(device) = reader.device() else { return };
        let last_seen_at = self.runtime.clock.now();
        let presence = Presence { acknowledged: read_to.position, last_seen_at, app: None };
        self.presence.note(device.workspace, device.device, presence);
    }
}

/// Where pages are read, and what counts them.
enum Source {
    Tail(TailReader, IntCounter),
    Log(Box<LogReader>, IntCounter),
}

fn ahead() -> ApiError {
    let detail = "the log ends before this cursor: start anew from /sync/records, keep unsent ops";
    ApiError::new(Code::CursorAhead, detail)
}
