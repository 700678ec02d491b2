//! `GET /sync/pull`

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PULL_WAIT_MS_MAX};
use tidelog_core::wire::{Encoding, PullResponse};

use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::negotiate::media_type::{JSON, MESSAGE_PACK, MESSAGE_PACK_SEQUENCE, NDJSON};
use crate::http::negotiate::{Offer, negotiate, prefers_zstd};
use crate::http::params::Params;
use crate::http::response::{respond_compressed, respond_encoded};
use crate::pull::PullRequest;
use crate::routes::sync::stream;

/// A form of the response.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// One page.
    Page(Encoding),
    /// A stream of events, a line of JSON each.
    Lines,
    /// A stream of pages.
    Pages,
}

const FORMS: [Offer<Form>; 4] = [
    (Form::Page(Encoding::Json), JSON),
    (Form::Page(Encoding::MessagePack), MESSAGE_PACK),
    (Form::Lines, NDJSON),
    (Form::Pages, MESSAGE_PACK_SEQUENCE),
];

/// Pulls the events after a cursor, in order and in whole batches.
///
/// Two media types in `Accept` stream all events up to the head at the time of the call: `application/x-ndjson` gives a line
/// for each event, `application/msgpack-seq` a sequence of page responses.
#[utoipa::path(get, path = "/api/v1/sync/pull", tag = "sync",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the previous page. Without it, the events from the start of the log"),
        ("limit" = Option<u64>, Query, description = "Maximum number of events, 1,000 by default. A batch is never split, so a page may have more"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("scopes" = Option<String>, Query, description = "Only these scopes and the scope of everyone, separated by commas"),
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for an event if there is none yet"),
        ("digests" = Option<bool>, Query, description = "Adds the digests of the records at the position of the page, if the projector is exactly there"),
    ),
    responses((status = 200, body = PullResponse), (status = 400), (status = 409), (status = 410)))]
pub(crate) async fn pull(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "scopes", "wait", "digests"])?;
    let form = negotiate(&request, &FORMS)?;
    let reader = gateway.reader(&request).await?;
    let limit_default = if matches!(form, Form::Page(_)) { PAGE_EVENTS_DEFAULT } else { usize::MAX };
    let wait = params.number("wait", (0, PULL_WAIT_MS_MAX))?.map(Duration::from_millis);
    let pull = PullRequest {
        after: cursor_of(&params)?,
        limit: params.limit()?.unwrap_or(limit_default),
        wanted: params.wanted()?,
        wait: wait.unwrap_or_default(),
        digests: params.flag("digests")?,
        // Streams have encodings of their own.
        encoding: Encoding::MessagePack,
        takes_zstd: false,
    };
    match form {
        Form::Page(encoding) => {
            let pull = PullRequest { encoding, takes_zstd: prefers_zstd(&request), ..pull };
            let (response, page) = gateway.pull(&reader, &pull, &Client::of(&request)).await?;
            Ok(match page.is_compressed() {
                true => respond_compressed(encoding, page.body(&response)?),
                false => respond_encoded(encoding, page.body(&response)?),
            })
        }
        Form::Lines => stream::events(gateway.into_inner(), reader, pull).await,
        Form::Pages => stream::pages(gateway.into_inner(), reader, pull).await,
    }
}

fn cursor_of(params: &Params) -> Result<Cursor, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(Cursor::START),
        Some(text) => Cursor::parse(text)
            .ok_or_else(|| ApiError::new(Code::CursorInvalid, "`after` must be the cursor of a pull")),
    }
}
