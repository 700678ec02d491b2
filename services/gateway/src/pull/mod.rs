//! A pull apart from HTTP: check the cursor, read a page, wait for events, read pages ahead of a stream.

pub(crate) mod access_change;
pub(crate) mod page;
pub(crate) mod shared_pages;
pub(crate) mod stream;
pub(crate) mod tail_cache;
mod zstd_frame;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, TableName, WorkspaceId};
use tidelog_core::limits::{PAGE_BYTES_MAX, PAGE_POSITIONS_MAX};
use tidelog_core::wire::{Encoding, PullResponse};
use tidelog_postgres::{EventFilter, LogHead, LogReader, PackedPageLimits, Presence};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::{Reader, Wanted, revoked};
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::{ApiError, cursor_ahead, cursor_diverged};
use crate::http::lines::OpenStream;
use crate::pull::access_change::{AccessChange, AccessLists};
use crate::pull::page::Page;
use crate::pull::shared_pages::{PageKey, SharedPage};
use crate::pull::tail_cache::{TailReader, TailView};

/// How often a long poll reads the log itself, since a wake-up may be lost, and checks whether its device may still read.
const LONG_POLL_INTERVAL: Duration = Duration::from_millis(1_000);
/// Bytes of events after which a page of a stream ends. A reader, however slow, has a few of these in memory at most: the
/// one being sent, the one read ahead, and what the socket has taken over of both.
const STREAM_PAGE_BYTES: usize = 512 * 1024;

/// The parameters of a pull.
#[derive(Debug, Clone)]
pub(crate) struct PullRequest {
    pub(crate) after: Cursor,
    /// Maximum number of events: of the page, or of the whole stream.
    pub(crate) limit: usize,
    pub(crate) wanted: Wanted,
    /// How long to wait for an event if there is none after the cursor.
    pub(crate) wait: Duration,
    /// Whether pages come with the digests of tables, where the records are exactly at the end of the page.
    pub(crate) digests: bool,
    /// The encoding of the response.
    pub(crate) encoding: Encoding,
    /// Whether the caller takes zstd. Then a page that may be shared is compressed once. Others are compressed as they are
    /// sent, like every other response.
    pub(crate) takes_zstd: bool,
}

/// The state of a log when a pull looked at it.
pub(crate) struct LogState {
    /// The last position.
    pub(crate) head: Position,
    /// The catalog of the last `_catalog` event, which decides what readers see.
    pub(crate) catalog: Arc<Catalog>,
    /// The reader with the role and scopes that it has in this log, if it was authenticated with others.
    newer_reader: Option<Reader>,
    /// The end of the log, if it is in memory back to the pull's cursor.
    tail: Option<TailView>,
}

impl LogState {
    /// A reader with the role and scopes that it has in this log.
    pub(crate) fn reader<'a>(&'a self, authenticated: &'a Reader) -> &'a Reader {
        self.newer_reader.as_ref().unwrap_or(authenticated)
    }
}

/// Pages of a stream, read ahead of the reader.
pub(crate) enum Pages {
    /// From a tail: in memory already. The counter counts the pages that are taken.
    Tail(TailReader, IntCounter),
    /// From the database, by a task that reads ahead.
    Log(mpsc::Receiver<Result<Page, ApiError>>),
}

impl Pages {
    /// The next page; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        match self {
            Self::Tail(tail, count) => Ok(tail.next_page().inspect(|_| count.inc())),
            Self::Log(pages) => pages.recv().await.transpose(),
        }
    }
}

/// The limits of each page of a pull, which ends after about `bytes`.
fn limits_of(pull: &PullRequest, bytes: usize) -> PackedPageLimits {
    PackedPageLimits { events: pull.limit, bytes, positions: PAGE_POSITIONS_MAX }
}

impl Gateway {
    /// One page of events and the other members of the response. If there is no event after the cursor, waits for one as
    /// long as the pull allows.
    ///
    /// The wait ends early, with an empty page, if the client hangs up or the server stops.
    pub(crate) async fn pull(
        &self,
        reader: &Reader,
        pull: &PullRequest,
        client: &Client,
    ) -> Result<(PullResponse, Page), ApiError> {
        let deadline = Instant::now() + pull.wait;
        let mut after = pull.after;
        let mut wait = None;
        let (page, log) = loop {
            let log = self.locate(reader, after).await?;
            let page = self.page(reader, after, &log, pull).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if page.count > 0 || page.end.position < log.head || left.is_zero() {
                break (page, log);
            }
            after = page.end;
            if wait.is_none() {
                wait = Some((self.waits.begin(reader.owner())?, OpenStream::new(&self.metrics)));
            }
            tokio::select! {
                () = self.wakeups.wait_appended(reader.workspace(), after.position, left.min(LONG_POLL_INTERVAL)) => {}
                () = client.gone() => break (page, log),
                () = self.stopping() => break (page, log),
            }
            self.reauthenticate(reader).await?;
        };
        self.note_read(reader, pull.after);
        self.metrics.events_pulled.inc_by(page.count as u64);
        let reader = log.reader(reader);
        let access = self.changed_access(reader, &log.catalog, &page.access_events).await?;
        let digests = self.digests_at(reader, &log.catalog, pull, page.end.position).await?;
        Ok((PullResponse { digests, ..self.response_of(&page, log.head, access).await? }, page))
    }

    /// The digests of what a pull shows, if it asks for them and the records are exactly at a position.
    pub(crate) async fn digests_at(
        &self,
        reader: &Reader,
        catalog: &Catalog,
        pull: &PullRequest,
        position: Position,
    ) -> Result<Option<BTreeMap<TableName, String>>, ApiError> {
        if !pull.digests {
            return Ok(None);
        }
        let digests = self.store.digests(reader.workspace(), &reader.filter(catalog, &pull.wanted)).await?;
        Ok(digests.filter(|digests| digests.projected == position).map(|digests| digests.texts()))
    }

    /// The response members for a page, without its events and digests.
    pub(crate) async fn response_of(
        &self,
        page: &Page,
        head: Position,
        access: AccessChange,
    ) -> Result<PullResponse, ApiError> {
        let AccessLists { resync, drop, resync_scopes, drop_scopes } = access.into_lists();
        Ok(PullResponse {
            cursor: page.end,
            position: page.end.position,
            more: page.end.position < head,
            head,
            catalog: self.catalogs.current().await?.version.0,
            server_time: self.runtime.clock.now(),
            resync,
            drop,
            resync_scopes,
            drop_scopes,
            digests: None,
            events: Vec::new(),
        })
    }

    /// The state of the log that a cursor belongs to: from the tail, if it reaches back to the cursor, else from the
    /// database. A cursor of another history is an error.
    pub(crate) async fn locate(&self, reader: &Reader, after: Cursor) -> Result<LogState, ApiError> {
        let workspace = reader.workspace();
        if let Some(tail) = self.tails.view(workspace, after.position).await? {
            return self.locate_in_tail(reader, tail, after).await;
        }
        let log = self.check_cursor(reader, after).await?;
        match self.tails.begin(workspace, after, log.head).await? {
            Some(tail) => self.locate_in_tail(reader, tail, after).await,
            None => {
                let catalog = self.catalogs.of_log(log.catalog_version).await?.catalog;
                let newer_reader = self.newer_access(reader, log.access_position).await?;
                Ok(LogState { head: log.head, catalog, newer_reader, tail: None })
            }
        }
    }

    /// Checks a cursor in memory. That is as good as in the database, because the tail was just proven to be the end of
    /// the log that is there.
    async fn locate_in_tail(&self, reader: &Reader, tail: TailView, after: Cursor) -> Result<LogState, ApiError> {
        match tail.check_at(after.position) {
            None => return Err(cursor_ahead()),
            Some(check) if check != after.check => return Err(cursor_diverged()),
            Some(_) => {}
        }
        let catalog = self.catalogs.of_log(tail.catalog_version).await?.catalog;
        let newer_reader = self.newer_access(reader, tail.access_position).await?;
        Ok(LogState { head: tail.head, catalog, newer_reader, tail: Some(tail) })
    }

    /// Checks in the database that a cursor was made from this log. Returns the log's head.
    pub(crate) async fn check_cursor(&self, reader: &Reader, cursor: Cursor) -> Result<LogHead, ApiError> {
        let head = self.store.head(reader.workspace(), cursor.position).await?.ok_or_else(revoked)?;
        if cursor.position > head.head {
            return Err(cursor_ahead());
        }
        if cursor.position > Position::START && head.check != Some(cursor.check) {
            return Err(cursor_diverged());
        }
        Ok(head)
    }

    /// The page after a cursor.
    async fn page(&self, reader: &Reader, after: Cursor, log: &LogState, pull: &PullRequest) -> Result<Page, ApiError> {
        if log.head <= after.position {
            return Page::empty(after).encoded(pull.encoding);
        }
        let _timer = self.metrics.pull_seconds.start_timer();
        let reader = log.reader(reader);
        let filter = reader.filter(&log.catalog, &pull.wanted);
        let limits = limits_of(pull, PAGE_BYTES_MAX);
        if let Some(tail) = &log.tail {
            self.metrics.pages.with_label_values(&["tail"]).inc();
            let page = TailReader::new(tail, after, filter, limits).next_page();
            return page.unwrap_or_else(|| Page::empty(after)).encoded(pull.encoding);
        }
        let (workspace, range) = (reader.workspace(), (after, log.head));
        let shared_filter = filter.of_any_device();
        let read = || self.read_page(workspace, shared_filter.clone(), range, pull);
        let key = PageKey {
            workspace,
            after,
            limit: pull.limit,
            encoding: pull.encoding,
            is_compressed: pull.takes_zstd,
            filter: shared_filter.clone(),
        };
        let (mut shared, is_read_here) = self.shared_pages.get_or_read(key.clone(), read()).await?;
        if !is_read_here {
            if shared.is_whole_at(log.head) && self.has_end_of(workspace, &shared.page).await? {
                self.metrics.pages.with_label_values(&["shared"]).inc();
            } else {
                self.shared_pages.forget(&key).await;
                shared = read().await?;
            }
        }
        match shared.is_for(reader) {
            true => Ok(shared.page),
            false => Ok(self.read_page(workspace, filter, range, pull).await?.page),
        }
    }

    /// Reads the page of a log in a range of positions from the database.
    async fn read_page(
        &self,
        workspace: WorkspaceId,
        filter: EventFilter,
        (after, until): (Cursor, Position),
        pull: &PullRequest,
    ) -> Result<SharedPage, ApiError> {
        self.metrics.pages.with_label_values(&["log"]).inc();
        let limits = limits_of(pull, PAGE_BYTES_MAX);
        let mut log = LogReader::new(self.store.clone(), workspace, filter, (after, until), limits);
        // Read on the runtime that drives the database connection: handing rows from thread to thread would cost more than
        // everything else that is done to them.
        let page = self.tasks.spawn(async move { log.next_page().await }).await;
        let page = page.map_err(|_| ApiError::unavailable("the server is stopping"))??;
        let mut page = page.map_or_else(|| Page::empty(after), Page::from).encoded(pull.encoding)?;
        if pull.takes_zstd {
            let compressing = self.tasks.spawn_blocking(move || page.compressed()).await;
            page = compressing.map_err(|_| ApiError::unavailable("the server is stopping"))??;
        }
        Ok(SharedPage::new(page, until))
    }

    /// Whether a log has the event at the end of a page, and so all of the page.
    async fn has_end_of(&self, workspace: WorkspaceId, page: &Page) -> Result<bool, ApiError> {
        let head = self.store.head(workspace, page.end.position).await?.ok_or_else(revoked)?;
        Ok(head.check == Some(page.end.check))
    }

    /// All pages up to the head in `log`, or until the pull's limit of events. While one page is sent the next one is
    /// read. No database connection is held while a page waits for the reader.
    pub(crate) fn pages(&self, reader: &Reader, log: &LogState, pull: &PullRequest) -> Pages {
        let filter = log.reader(reader).filter(&log.catalog, &pull.wanted);
        let limits = limits_of(pull, STREAM_PAGE_BYTES);
        let count = |source| self.metrics.pages.with_label_values(&[source]);
        if let Some(tail) = &log.tail {
            return Pages::Tail(TailReader::new(tail, pull.after, filter, limits), count("tail"));
        }
        let range = (pull.after, log.head);
        let mut log = LogReader::new(self.store.clone(), reader.workspace(), filter, range, limits);
        let (count, (sender, pages)) = (count("log"), mpsc::channel(1));
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

    /// Notes that a device was seen, and that it has taken in everything up to a cursor.
    pub(crate) fn note_read(&self, reader: &Reader, read_to: Cursor) {
        let Some(device) = reader.device() else { return };
        let last_seen_at = self.runtime.clock.now();
        let presence = Presence { acknowledged: read_to.position, last_seen_at, app: None };
        self.presence.note(device.workspace, device.device, presence);
    }
}
