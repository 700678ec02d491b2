//! `GET /sync/records`: a snapshot of the records, and what changed since, by the same call.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use tidelog_core::cursor::RecordsCursor;
use tidelog_core::error::Code;
use tidelog_core::limits::PAGE_EVENTS_DEFAULT;
use tidelog_core::wire::{Encoding, RecordView, RecordsEnd, RecordsResponse};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::negotiate::media_type::{JSON, MESSAGE_PACK, NDJSON};
use crate::http::negotiate::{Offer, negotiate};
use crate::http::params::Params;
use crate::http::response::respond;
use crate::pull::access_change::AccessChange;
use crate::read::records::RecordsRead;

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
        ("limit" = Option<u64>, Query, description = "Maximum number of records, 1 to 10,000"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("state" = Option<String>, Query, description = "`plain` (the default), or `full`: adds the state from which a replica can fold further events, and orders the records by `touched`"),
    ),
    responses((status = 200, body = RecordsResponse), (status = 400), (status = 409)))]
pub(crate) async fn records(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "state"])?;
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
    match form {
        Form::Page(encoding) => respond(StatusCode::OK, encoding, &gateway.records_page(&reader, &read).await?),
        Form::Lines => stream_records(gateway.into_inner(), reader, read, params.limit()?).await,
    }
}

fn cursor_of(params: &Params, is_full: bool) -> Result<Option<RecordsCursor>, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => RecordsCursor::parse(text).filter(|cursor| cursor.full == is_full).map(Some).ok_or_else(|| {
            ApiError::new(Code::CursorInvalid, "`after` must be a cursor of /sync/records with the same `state`")
        }),
    }
}

/// Streams records, page by page at the reader's pace. The first page is read before the response begins, so that an
/// invalid cursor still gets its own status.
async fn stream_records(
    gateway: Arc<Gateway>,
    reader: Reader,
    mut read: RecordsRead,
    limit: Option<usize>,
) -> Result<HttpResponse, ApiError> {
    let mut left = limit.unwrap_or(usize::MAX);
    read.limit = left.min(PAGE_EVENTS_DEFAULT);
    let mut next = gateway.records_page(&reader, &read).await?;
    Ok(lines::respond(stream! {
        let _open = lines::OpenStream::new(&gateway.metrics);
        let mut access = AccessChange::default();
        loop {
            let RecordsResponse { records, end } = next;
            left = left.saturating_sub(records.len());
            access.extend(AccessChange {
                resync: end.resync.iter().cloned().collect(),
                drop: end.drop.iter().cloned().collect(),
            });
            yield lines::encode(records.into_iter().map(Line::<RecordView, RecordsEnd>::Item));
            if !end.more || left == 0 {
                let (resync, drop) = access.into_lists();
                yield lines::encode([Line::<RecordView, _>::End(RecordsEnd { resync, drop, ..end })].into_iter());
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
    }))
}
