//! `GET /sync/records`: snapshot and delta are one call.

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
use tidelog_core::wire::{CatalogView, RecordView, RecordsEnd, RecordsResponse};
use tidelog_postgres::{InForce, RecordsPage, RecordsQuery};

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::{self, Line};
use crate::http::params::Params;
use crate::http::response::{Form, Streams, answer, encoding_of, form_of};
use crate::pull::access_change::AccessChange;

/// Records changed after a cursor, one row each. Without a cursor: the live records. The last page says from where to pull.
#[utoipa::path(get, path = "/api/v1/sync/records", tag = "records",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the page before; from the start without"),
        ("limit" = Option<u64>, Query, description = "Most records, 1 to 10,000"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("state" = Option<String>, Query, description = "`full` adds what folding on needs and pages by `touched`"),
    ),
    responses((status = 200, body = RecordsResponse), (status = 400), (status = 409)))]
pub(crate) async fn records(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "state"])?;
    let form = form_of(&request, Streams::Lines)?;
    let reader = gateway.reader(&request).await?;
    let full = match params.text("state") {
        None | Some("plain") => false,
        Some("full") => true,
        Some(_) => return Err(ApiError::new(Code::QueryInvalid, "state is plain or full")),
    };
    let asked = Asked { after: cursor_of(&params, full)?, limit: params.page_limit()?, tables: params.tables()?, full };
    match form {
        Form::Whole(encoding) => answer(StatusCode::OK, encoding, &page(&gateway, &reader, &asked).await?),
        Form::Pages => answer(StatusCode::OK, encoding_of(&request)?, &page(&gateway, &reader, &asked).await?),
        Form::Lines => stream_records(gateway.into_inner(), reader, asked, params.limit()?).await,
    }
}

struct Asked {
    after: Option<RecordsCursor>,
    limit: usize,
    tables: Option<Vec<TableName>>,
    full: bool,
}

fn cursor_of(params: &Params, full: bool) -> Result<Option<RecordsCursor>, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => RecordsCursor::parse(text)
            .filter(|cursor| cursor.full == full)
            .map(Some)
            .ok_or_else(|| ApiError::new(Code::CursorInvalid, "this is no cursor of /sync/records with this state")),
    }
}

/// Where the first `_catalog` event of a log is.
const FIRST: Position = Position(1);

async fn page(gateway: &Gateway, reader: &Reader, asked: &Asked) -> Result<RecordsResponse, ApiError> {
    let after = asked.after.map_or(Cursor::START, |cursor| cursor.at);
    let (_, mut catalog_version) = gateway.check_cursor(reader, after).await?;
    gateway.note_read(reader, Cursor::START);
    let checkpoint = gateway.store.checkpoint(reader.workspace()).await?.ok_or_else(revoked)?;
    check_generation(asked, checkpoint.generation)?;
    if asked.full {
        see_no_refold_is_due(gateway, reader, checkpoint.refold_position).await?;
    }
    let (found, in_force) = loop {
        let in_force = gateway.catalog.of_log(catalog_version).await?;
        let filter = reader.filter(&in_force, asked.tables.as_deref());
        let query = RecordsQuery {
            after: after.position,
            start: asked.after.map(|cursor| cursor.start),
            filter: &filter,
            limit: asked.limit,
            bytes: PAGE_BYTES_MAX,
            full: asked.full,
        };
        let found = gateway.store.records(reader.workspace(), &query).await?;
        // The same catalog before and after is the one that all of it was read under. Otherwise a grant may lie between
        // what was filtered and where the page says to go on.
        let (_, version_now) = gateway.check_cursor(reader, Cursor::START).await?;
        if version_now == catalog_version {
            break (found, in_force);
        }
        catalog_version = version_now;
    };
    check_generation(asked, found.generation)?;
    let (resync, drop) = access_since(gateway, reader, asked, &in_force).await?.into_lists();
    let end = end_of(gateway, reader, asked, catalog_version, &found).await?;
    let full = asked.full;
    let views = found.records.into_iter().map(|(key, record)| record.to_view(key.table, key.scope, key.record, full));
    Ok(RecordsResponse { records: views.collect(), end: RecordsEnd { resync, drop, ..end } })
}

/// FOLD-3: whoever folds on from these records has to have made them as the log says. Between the event of a refold and
/// the swap it brings, they are still made by the rules of before.
async fn see_no_refold_is_due(gateway: &Gateway, reader: &Reader, held: Position) -> Result<(), ApiError> {
    let newest = gateway.store.newest_refold(reader.workspace()).await?;
    // The first event's rules hold from there on by themselves.
    if newest > held && newest > FIRST {
        return Err(ApiError::unavailable("the records are to be made anew under other rules, try again later"));
    }
    Ok(())
}

/// How far a page goes.
async fn end_of(
    gateway: &Gateway,
    reader: &Reader,
    asked: &Asked,
    catalog: i64,
    found: &RecordsPage,
) -> Result<RecordsEnd, ApiError> {
    let after = asked.after.map_or(Position::START, |cursor| cursor.at.position);
    let last = found.records.last().map(|(_, record)| if asked.full { record.touched } else { record.version });
    // A complete page covers everything up to its checkpoint, which a cursor from elsewhere may lie past already.
    let position = match found.more {
        true => last.unwrap_or(after),
        false => found.projected.max(after),
    };
    let at = gateway.store.cursor_at(reader.workspace(), position).await?;
    let cursor = RecordsCursor { full: asked.full, generation: found.generation, catalog, start: found.start, at };
    let is_complete = !found.more && found.projected >= after;
    let folded_under = match is_complete && asked.full {
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

/// What the caller may see now and might not when its cursor was made, and the other way round.
async fn access_since(
    gateway: &Gateway,
    reader: &Reader,
    asked: &Asked,
    in_force: &InForce,
) -> Result<AccessChange, ApiError> {
    match asked.after {
        Some(cursor) if cursor.catalog > 0 && cursor.catalog != in_force.version.0 => {
            let before = gateway.catalog.of_cursor(cursor.catalog).await?;
            Ok(AccessChange::between(reader, &before.catalog, &in_force.catalog))
        }
        Some(_) | None => Ok(AccessChange::default()),
    }
}

fn check_generation(asked: &Asked, generation: i64) -> Result<(), ApiError> {
    match asked.after {
        Some(cursor) if cursor.generation != generation => {
            Err(ApiError::new(Code::CursorDiverged, "the records were made anew since this cursor: start without one"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Page by page at the reader's pace. The first page is made before the answer begins, so that a cursor that is no good
/// has its status.
async fn stream_records(
    gateway: Arc<Gateway>,
    reader: Reader,
    mut asked: Asked,
    limit: Option<usize>,
) -> Result<HttpResponse, ApiError> {
    let mut left = limit.unwrap_or(usize::MAX);
    asked.limit = left.min(PAGE_EVENTS_DEFAULT);
    let mut next = page(&gateway, &reader, &asked).await?;
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
            asked.after = RecordsCursor::parse(&end.cursor);
            asked.limit = left.min(PAGE_EVENTS_DEFAULT);
            let made = match gateway.prove_again(&reader).await {
                Ok(()) => page(&gateway, &reader, &asked).await,
                Err(error) => Err(error),
            };
            next = match made {
                Ok(page) => page,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
        }
    }))
}
