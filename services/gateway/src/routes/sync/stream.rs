//! The two streamed forms of a pull: NDJSON, and a sequence of MessagePack pages.

use std::sync::Arc;

use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use async_stream::stream;
use futures_util::{Stream, StreamExt};
use tidelog_core::cursor::Cursor;
use tidelog_core::wire::{Encoding, EventView, PullEnd};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::pull::access_change::AccessChange;
use crate::pull::page::{Page, pieces};
use crate::pull::{LogState, Pages, PullRequest};

/// Every page up to the head at the time of the call, or until `limit` events, each a whole answer with its own cursor.
pub(crate) async fn pages(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<HttpResponse, ApiError> {
    let mut pages = Streamed::begin(gateway, reader, &pull).await?;
    let sent = stream! {
        let mut is_first = true;
        while let Some(next) = pages.next().await.transpose() {
            let parts = match next {
                Ok((page, access)) => pages.whole(page, access).await,
                Err(error) => Err(error),
            };
            is_first = false;
            match parts {
                Ok(parts) => for piece in pieces(parts) { yield Ok(piece); },
                Err(error) => { yield Err(error); return; }
            }
        }
        if is_first {
            let page = Page::empty(pages.after);
            match pages.whole(page, AccessChange::default()).await {
                Ok(parts) => for piece in pieces(parts) { yield Ok(piece); },
                Err(error) => yield Err(error),
            }
        }
    };
    Ok(respond("application/msgpack-seq", sent))
}

/// Every event up to the head at the time of the call, or `limit` of them, a JSON line each, and a last line that says
/// how far they go.
pub(crate) async fn events(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<HttpResponse, ApiError> {
    let mut pages = Streamed::begin(gateway, reader, &pull).await?;
    let sent = stream! {
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
        let (after, more) = (pages.after, pages.after.position < pages.found.head);
        let end = PullEnd { cursor: after, position: after.position, more, resync, drop };
        yield lines::encode([Line::<EventView, _>::End(end)].into_iter());
    };
    Ok(respond("application/x-ndjson", sent))
}

/// The answer that streams bytes. An error on the way cuts it, since its status is out already.
fn respond(content_type: &str, bytes: impl Stream<Item = Result<Bytes, ApiError>> + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).streaming(bytes.map(|bytes| bytes.map_err(Error::from)))
}

/// Pages on their way to a reader.
struct Streamed {
    gateway: Arc<Gateway>,
    reader: Reader,
    found: LogState,
    pages: Pages,
    /// How far the pages that were given reach.
    after: Cursor,
    _open: lines::OpenStream,
}

impl Streamed {
    async fn begin(gateway: Arc<Gateway>, reader: Reader, pull: &PullRequest) -> Result<Self, ApiError> {
        let found = gateway.find(&reader, pull.after).await?;
        gateway.note_read(&reader, pull.after);
        let pages = gateway.pages(&reader, &found, pull);
        let _open = lines::OpenStream::new(&gateway.metrics);
        Ok(Self { gateway, reader, found, pages, after: pull.after, _open })
    }

    /// The next page, if its reader may still have it.
    async fn next(&mut self) -> Result<Option<(Page, AccessChange)>, ApiError> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        self.gateway.prove_again(&self.reader).await?;
        let changed = self.gateway.changed_access(&self.reader, &self.found.in_force.catalog, &page.catalogs).await?;
        self.gateway.metrics.events_pulled.inc_by(page.count as u64);
        self.after = page.end;
        Ok(Some((page, changed)))
    }

    async fn whole(&self, page: Page, access: AccessChange) -> Result<Vec<Bytes>, ApiError> {
        let answer = self.gateway.response_of(&page, self.found.head, access).await?;
        page.encode(Encoding::MessagePack, &answer)
    }
}
