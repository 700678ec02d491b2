//! `GET /sync/records`: a snapshot of the records, and what changed since, by the same call.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, TableName};
use tidelog_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_DEFAULT};
use tidelog_core::wire::{CatalogView, Encoding, RecordView, RecordsEnd, RecordsResponse};
use tidelog_postgres::{RecordsPage, RecordsQuery, VersionedCatalog};

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::media_type::{JSON, MESSAGE_PACK, NDJSON};
use crate::http::negotiate::{Offer, negotiate};
use crate::http::params::Params;
use crate::http::response::respond;
use crate::pull::access_change::AccessChange;

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
        tables: params.tables()?,
        is_full,
    };
    match form {
        Form::Page(encoding) => respond(StatusCode::OK, encoding, &page(&gateway, &reader, &read).await?),
        Form::Lines => stream_records(gateway.into_inner(), reader, read, params.limit()?).await,
    }
}

/// The parameters of a read of records.
struct RecordsRead {
    after: Option<RecordsCursor>,
    /// Maximum number of records on the page.
    limit: usize,
    tables: Option<Vec<TableName>>,
    /// Whether records come with the state that further folding needs.
    is_full: bool,
}

fn cursor_of(params: &Params, is_full: bool) -> Result<Option<RecordsCursor>, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => RecordsCursor::parse(text).filter(|cursor| cursor.full == is_full).map(Some).ok_or_else(|| {
            ApiError::new(Code::CursorInvalid, "`after` must be a cursor of /sync/records with the same `state`")
        }),
    }
}

/// The position of the first event of a log, a `_catalog` event.
const FIRST: Position = Position(1);

async fn page(gateway: &Gateway, reader: &Reader, read: &RecordsRead) -> Result<RecordsResponse, ApiError> {
    let after = read.after.map_or(Cursor::START, |cursor| cursor.at);
    let (_, mut catalog_version) = gateway.check_cursor(reader, after).await?;
    gateway.note_read(reader, Cursor::START);
    let checkpoint = gateway.store.checkpoint(reader.workspace()).await?.ok_or_else(revoked)?;
    check_generation(read, checkpoint.generation)?;
    if read.is_full {
        check_no_refold_is_due(gateway, reader, checkpoint.refold_position).await?;
    }
    let (found, of_log) = loop {
        let of_log = gateway.catalogs.of_log(catalog_version).await?;
        let filter = reader.filter(&of_log.catalog, read.tables.as_deref());
        let query = RecordsQuery {
            after: after.position,
            start: read.after.map(|cursor| cursor.start),
            filter: &filter,
            limit: read.limit,
            bytes: PAGE_BYTES_MAX,
            full: read.is_full,
        };
        let found = gateway.store.records(reader.workspace(), &query).await?;
        // If the catalog is the same before and after the read, it was in force all the time. Otherwise a grant may lie
        // between the records that were filtered and the position from which the page says to go on.
        let (_, version_now) = gateway.check_cursor(reader, Cursor::START).await?;
        if version_now == catalog_version {
            break (found, of_log);
        }
        catalog_version = version_now;
    };
    check_generation(read, found.generation)?;
    let (resync, drop) = access_since(gateway, reader, read, &of_log).await?.into_lists();
    let end = end_of(gateway, reader, read, catalog_version, &found).await?;
    let is_full = read.is_full;
    let views =
        found.records.into_iter().map(|(key, record)| record.to_view(key.table, key.scope, key.record, is_full));
    Ok(RecordsResponse { records: views.collect(), end: RecordsEnd { resync, drop, ..end } })
}

/// Fails while a refold is asked for but not done, because the records are still made by the rules from before it. A
/// replica that folds on from them would not converge with one that folds the whole log (FOLD-3).
///
/// `applied` is the position of the refold that the records were made by.
async fn check_no_refold_is_due(gateway: &Gateway, reader: &Reader, applied: Position) -> Result<(), ApiError> {
    let newest = gateway.store.newest_refold(reader.workspace()).await?;
    // A refold that the first event asks for is done already: its rules are in force from the start anyway.
    if newest > applied && newest > FIRST {
        return Err(ApiError::unavailable("the records are about to be rebuilt under other rules, try again later"));
    }
    Ok(())
}

/// The end of the response: how far its records go, and where to go on.
async fn end_of(
    gateway: &Gateway,
    reader: &Reader,
    read: &RecordsRead,
    catalog: i64,
    found: &RecordsPage,
) -> Result<RecordsEnd, ApiError> {
    let after = read.after.map_or(Position::START, |cursor| cursor.at.position);
    let last = found.records.last().map(|(_, record)| if read.is_full { record.touched } else { record.version });
    // The last page covers everything up to the checkpoint. A cursor that was made elsewhere may be past that already.
    let position = match found.more {
        true => last.unwrap_or(after),
        false => found.projected.max(after),
    };
    let at = gateway.store.cursor_at(reader.workspace(), position).await?;
    let cursor = RecordsCursor { full: read.is_full, generation: found.generation, catalog, start: found.start, at };
    let is_complete = !found.more && found.projected >= after;
    let folded_under = match is_complete && read.is_full {
        true => gateway.store.event_at(reader.workspace(), found.catalog_position).await?,
        false => None,
    };
    let folded_under = folded_under.and_then(|event| Catalog::from_event(&event).ok());
    Ok(RecordsEnd {
        cursor: cursor.to_string(),
        position,
        more: found.more,
        pull_cursor: is_complete.then_some(at),
        catalog: folded_under.map(|(version, catalog)| CatalogView { version: version.0, catalog: catalog.file }),
        resync: Vec::new(),
        drop: Vec::new(),
    })
}

/// The tables that the reader gained and lost since its cursor was made.
async fn access_since(
    gateway: &Gateway,
    reader: &Reader,
    read: &RecordsRead,
    of_log: &VersionedCatalog,
) -> Result<AccessChange, ApiError> {
    match read.after {
        Some(cursor) if cursor.catalog > 0 && cursor.catalog != of_log.version.0 => {
            let before = gateway.catalogs.of_cursor(cursor.catalog).await?;
            Ok(AccessChange::between(reader, &before.catalog, &of_log.catalog))
        }
        Some(_) | None => Ok(AccessChange::default()),
    }
}

fn check_generation(read: &RecordsRead, generation: i64) -> Result<(), ApiError> {
    match read.after {
        Some(cursor) if cursor.generation != generation => Err(ApiError::new(
            Code::CursorDiverged,
            "the records were rebuilt since this cursor was made: start again without a cursor",
        )),
        Some(_) | None => Ok(()),
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
    let mut next = page(&gateway, &reader, &read).await?;
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
                Ok(()) => page(&gateway, &reader, &read).await,
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
