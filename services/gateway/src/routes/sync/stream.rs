//! The responses of a streamed pull: NDJSON, and a sequence of MessagePack pages.

use std::sync::Arc;

use actix_web::HttpResponse;
use async_stream::stream;
use tidelog_core::wire::{EventView, PullEnd};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::response::pieces::pieces;
use crate::http::response::respond_streaming;
use crate::pull::PullRequest;
use crate::pull::access_change::{AccessChange, AccessLists};
use crate::pull::page::Page;
use crate::pull::stream::PullStream;

/// Streams pages up to the head at the time of the call, or until `limit` events. Each is a whole pull response with its own
/// cursor; there is at least one.
pub(crate) async fn pages(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<HttpResponse, ApiError> {
    let mut pages = PullStream::begin(gateway, reader, pull).await?;
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
            let page = Page::empty(pages.after());
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
    let mut pages = PullStream::begin(gateway, reader, pull).await?;
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
        let AccessLists { resync, drop, resync_scopes, drop_scopes } = access.into_lists();
        let after = pages.after();
        let more = after.position < pages.head();
        match pages.digests().await {
            Ok(digests) => {
                let (cursor, position) = (after, after.position);
                let end = PullEnd { cursor, position, more, resync, drop, resync_scopes, drop_scopes, digests };
                yield lines::encode([Line::<EventView, _>::End(end)].into_iter());
            }
            Err(error) => yield Err(error),
        }
    };
    Ok(lines::respond(body))
}
