//! `GET /sync/records`: a snapshot of the records, and what changed since, by the same call.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use tidelog_core::cursor::RecordsCursor;
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PULL_WAIT_MS_MAX};
use tidelog_core::wire::{Encoding, RecordView, RecordsEnd, RecordsResponse};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::negotiate::media_type::{JSON, MESSAGE_PACK, NDJSON};
use crate::http::negotiate::{Offer, negotiate};
use crate::http::params::Params;
use crate::http::response::respond;
use crate::pull::access_change::AccessChange;
use crate::read::as_of::FOLD_TIMEOUT;
use crate::read::records::RecordsRead;
use crate::read::records_wait::RecordsWait;

/// A form of the response.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// One page.
    Page(Encoding),
    /// A stream of records, a line of JSON each.
    Lines,
}

const FORMS: [Offer<Form>; 3] =
    [(Form::Page(Encoding::Json), JSON), (Form::Page(Encoding::MessagePack), MESSAGE_PACK), (Form::Lines, NDJSON)];

/// Reads the records that changed after a cursor; without a cursor, a snapshot of all records.
///
/// Each record is given once, with its current fields. A snapshot leaves deleted records out. The last page has the cursor
/// from which to pull. `Accept: application/x-ndjson` streams all pages, a line for each record.
#[utoipa::path(get, path = "/api/v1/sync/records", tag = "records",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the previous page, or of an earlier read. Without it, a snapshot"),
        ("limit" = Option<u64>, Query, description = "Maximum number of records, 1,000 by default"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("scopes" = Option<String>, Query, description = "Only these scopes and the scope of everyone, separated by commas"),
        ("state" = Option<String>, Query, description = "`plain` (the default), or `full`: adds the state from which a replica can fold further events, and orders the records by `touched`"),
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for a record that changed after the cursor if there is none yet; with `at_least`, for that position, 5,000 by default"),
        ("at_least" = Option<i64>, Query, description = "Responds once the records are as far as this position"),
    ),
    responses((status = 200, body = RecordsResponse), (status = 400), (status = 409), (status = 503)))]
pub(crate) async fn records(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "scopes", "state", "wait", "at_least"])?;
    let form = negotiate(&request, &FORMS)?;
    let reader = gateway.reader(&request).await?;
    let is_full = match params.text("state") {
        None | Some("plain") => false,
        Some("full") => true,
        Some(_) => return Err(ApiError::new(Code::QueryInvalid, "state must be plain or full")),
    };
    let read = RecordsRead {
        after: cursor_of(&params, is_full)?,
        limit: params.page_limit()?,
        wanted: params.wanted()?,
        is_full,
    };
    let (wait, client) = (wait_of(&params)?, Client::of(&request));
    match form {
        Form::Page(encoding) => {
            let page = gateway.records_page_in_time(&reader, &read, wait, &client).await?;
            respond(StatusCode::OK, encoding, &page)
        }
        Form::Lines => {
            let left = params.limit()?.unwrap_or(usize::MAX);
            let read = RecordsRead { limit: left.min(PAGE_EVENTS_DEFAULT), ..read };
            let first = gateway.records_page_in_time(&reader, &read, wait, &client).await?;
            Ok(stream_records(gateway.into_inner(), reader, read, first, left))
        }
    }
}

fn wait_of(params: &Params) -> Result<RecordsWait, ApiError> {
    let wait = params.number("wait", (0, PULL_WAIT_MS_MAX))?.map(Duration::from_millis);
    Ok(match params.number("at_least", (0, i64::MAX))? {
        Some(position) => RecordsWait::Folded(Position(position), wait.unwrap_or(FOLD_TIMEOUT)),
        None => RecordsWait::Change(wait.unwrap_or_default()),
    })
}

fn cursor_of(params: &Params, is_full: bool) -> Result<Option<RecordsCursor>, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => RecordsCursor::parse(text).filter(|cursor| cursor.full == is_full).map(Some).ok_or_else(|| {
            ApiError::new(Code::CursorInvalid, "`after` must be a cursor of /sync/records with the same `state`")
        }),
    }
}

/// Streams records, page by page at the reader's pace, until there are no more or `left` of them. The first page is read
/// before the response begins, so that an invalid cursor still gets its own status.
fn stream_records(
    gateway: Arc<Gateway>,
    reader: Reader,
    mut read: RecordsRead,
    first: RecordsResponse,
    mut left: usize,
) -> HttpResponse {
    let mut next = first;
    lines::respond(stream! {
        let _open = lines::OpenStream::new(&gateway.metrics);
        let mut access = AccessChange::default();
        loop {
            let RecordsResponse { records, end } = next;
            left = left.saturating_sub(records.len());
            access.extend(AccessChange::of_end(&end));
            yield lines::encode(records.into_iter().map(Line::<RecordView, RecordsEnd>::Item));
            if !end.more || left == 0 {
                let end = access.into_lists().in_end(end);
                yield lines::encode([Line::<RecordView, _>::End(end)].into_iter());
                return;
            }
            read.after = RecordsCursor::parse(&end.cursor);
            read.limit = left.min(PAGE_EVENTS_DEFAULT);
            let read_next = match gateway.reauthenticate(&reader).await {
                Ok(()) => gateway.records_page(&reader, &read).await,
                Err(error) => Err(error),
            };
            next = match read_next {
                Ok(page) => page,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
        }
    })
}
