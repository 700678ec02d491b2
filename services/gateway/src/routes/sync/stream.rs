//! The two streamed forms of a pull: NDJSON, and a sequence of MessagePack pages.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use async_stream::stream;
use tidelog_core::cursor::Cursor;
use tidelog_core::wire::{Encoding, EventView, PullEnd};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::pieces::pieces;
use crate::http::response::respond_streaming;
use crate::pull::access_change::AccessChange;
use crate::pull::page::Page;
use crate::pull::{LogState, Pages, PullRequest};

/// Streams pages up to the head at the time of the call, or until `limit` events. Each is a whole pull response with its own
/// cursor; there is at least one.
pub(crate) async fn pages(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<HttpResponse, ApiError> {
    let mut pages = PullStream::begin(gateway, reader, &pull).await?;
    let body = stream! {
        let mut is_empty = true;
        while let Some(next) = pages.next().await.transpose() {
            let parts = match next {
                Ok((page, access)) => pages.encode(page, access).await,
                Err(error) => Err(error),
            };
            is_empty = false;
            match parts {
                Ok(parts) => for piece in pieces(parts) { yield Ok(piece); },
                Err(error) => { yield Err(error); return; }
            }
        }
        if is_empty {
            let page = Page::empty(pages.after);
            match pages.encode(page, AccessChange::default()).await {
                Ok(parts) => for piece in pieces(parts) { yield Ok(piece); },
                Err(error) => yield Err(error),
            }
        }
    };
    Ok(respond_streaming("application/msgpack-seq", body))
}

/// Streams events up to the head at the time of the call, or `limit` of them: a line of JSON each, and a last line that
/// says how far they go.
pub(crate) async fn events(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<HttpResponse, ApiError> {
    let mut pages = PullStream::begin(gateway, reader, &pull).await?;
    let body = stream! {
        let mut access = AccessChange::default();
        while let Some(next) = pages.next().await.transpose() {
            match next {
                Ok((page, changed)) => {
                    access.extend(changed);
                    match page.lines() {
                        Ok(lines) => for piece in pieces(vec![lines]) { yield Ok(piece); },
                        Err(error) => { yield Err(error); return; }
                    }
                }
                Err(error) => { yield Err(error); return; }
            }
        }
        let (resync, drop) = access.into_lists();
        let (after, more) = (pages.after, pages.after.position < pages.log.head);
        let end = PullEnd { cursor: after, position: after.position, more, resync, drop };
        yield lines::encode([Line::<EventView, _>::End(end)].into_iter());
    };
    Ok(lines::respond(body))
}

/// The pages of a streamed pull.
struct PullStream {
    gateway: Arc<Gateway>,
    reader: Reader,
    log: LogState,
    pages: Pages,
    /// The end of the last page, or where the stream began.
    after: Cursor,
    _open: lines::OpenStream,
}

impl PullStream {
    async fn begin(gateway: Arc<Gateway>, reader: Reader, pull: &PullRequest) -> Result<Self, ApiError> {
        let log = gateway.locate(&reader, pull.after).await?;
        gateway.note_read(&reader, pull.after);
        let pages = gateway.pages(&reader, &log, pull);
        let _open = lines::OpenStream::new(&gateway.metrics);
        Ok(Self { gateway, reader, log, pages, after: pull.after, _open })
    }

    /// The next page with the change of access on it. An error if its reader may no longer read.
    async fn next(&mut self) -> Result<Option<(Page, AccessChange)>, ApiError> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        self.gateway.reauthenticate(&self.reader).await?;
        let changed = self.gateway.changed_access(&self.reader, &self.log.catalog, &page.catalogs).await?;
        self.gateway.metrics.events_pulled.inc_by(page.count as u64);
        self.after = page.end;
        Ok(Some((page, changed)))
    }

    async fn encode(&self, page: Page, access: AccessChange) -> Result<Vec<Bytes>, ApiError> {
        let response = self.gateway.response_of(&page, self.log.head, access).await?;
        page.encode(Encoding::MessagePack, &response)
    }
}
