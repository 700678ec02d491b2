//! `GET /sync/records`: snapshot and delta are one call.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::error::Code;
use tidelog_core::ids::TableName;
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::{RecordView, RecordsAnswer, RecordsEnd};
use tidelog_postgres::RecordsQuery;

use super::lines::{self, Line};
use crate::answer::{Form, answer, form_of};
use crate::auth::{Reader, revoked};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::params::Params;

/// Records changed after a cursor, one row each. Without a cursor: the live records. The last page says from where to pull.
#[utoipa::path(get, path = "/api/v1/sync/records", tag = "records",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the page before; from the start without"),
        ("limit" = Option<u64>, Query, description = "Most records, 1 to 10,000"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("state" = Option<String>, Query, description = "`full` adds what folding on needs and pages by `touched`"),
    ),
    responses((status = 200, body = RecordsAnswer), (status = 400), (status = 409)))]
pub(crate) async fn records(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "state"])?;
    let form = form_of(&request, true)?;
    let reader = gateway.reader(&request).await?;
    let asked = Asked {
        after: cursor_of(&params)?,
        limit: params.page_limit()?,
        tables: params.tables()?,
        full: match params.text("state") {
            None | Some("plain") => false,
            Some("full") => true,
            Some(_) => return Err(ApiError::new(Code::QueryInvalid, "state is plain or full")),
        },
    };
    match form {
        Form::Whole(encoding) => answer(StatusCode::OK, encoding, &page(&gateway, &reader, &asked).await?),
        Form::Lines => {
            let limit = params.limit()?;
            Ok(stream_records(gateway.into_inner(), reader, asked, limit))
        }
    }
}

struct Asked {
    after: Option<RecordsCursor>,
    limit: usize,
    tables: Option<Vec<TableName>>,
    full: bool,
}

fn cursor_of(params: &Params) -> Result<Option<RecordsCursor>, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => RecordsCursor::parse(text)
            .map(Some)
            .ok_or_else(|| ApiError::new(Code::CursorInvalid, "this is no cursor of /sync/records")),
    }
}

async fn page(gateway: &Gateway, reader: &Reader, asked: &Asked) -> Result<RecordsAnswer, ApiError> {
    let after = asked.after.map_or(Cursor::START, |cursor| cursor.at);
    gateway.check_cursor(reader, after).await?;
    let generation = gateway.store.checkpoint(reader.workspace()).await?.ok_or_else(revoked)?.generation;
    check_generation(asked, generation)?;
    let known = gateway.catalog.current().await?;
    let filter = reader.filter(&known.0, asked.tables.as_deref());
    let query = RecordsQuery {
        after: after.position,
        start: asked.after.map(|cursor| cursor.start),
        filter: &filter,
        limit: asked.limit,
        bytes: PAGE_BYTES_MAX,
        full: asked.full,
    };
    let found = gateway.store.records(reader.workspace(), &query).await?;
    check_generation(asked, found.generation)?;
    let last = found.records.last().map(|(_, record)| if asked.full { record.touched } else { record.version });
    // A complete page covers everything up to its checkpoint, which a cursor from elsewhere may lie past already.
    let position = match found.more {
        true => last.unwrap_or(after.position),
        false => found.projected.max(after.position),
    };
    let at = gateway.store.cursor_at(reader.workspace(), position).await?;
    let start = asked.after.map_or(found.projected, |cursor| cursor.start);
    let is_complete = !found.more && found.projected >= after.position;
    let views =
        found.records.into_iter().map(|(key, record)| record.to_view(key.table, key.scope, key.record, asked.full));
    Ok(RecordsAnswer {
        records: views.collect(),
        cursor: RecordsCursor { generation: found.generation, start, at }.to_string(),
        position,
        more: found.more,
        pull_cursor: is_complete.then_some(at),
    })
}

fn check_generation(asked: &Asked, generation: i64) -> Result<(), ApiError> {
    match asked.after {
        Some(cursor) if cursor.generation != generation => {
            Err(ApiError::new(Code::CursorDiverged, "the records were made anew since this cursor: start without one"))
        }
        Some(_) | None => Ok(()),
    }
}

fn stream_records(gateway: Arc<Gateway>, reader: Reader, mut asked: Asked, limit: Option<usize>) -> HttpResponse {
    lines::respond(stream! {
        let _open = lines::OpenStream::new(&gateway.metrics);
        let mut left = limit.unwrap_or(usize::MAX);
        loop {
            asked.limit = left.min(tidelog_core::limits::PAGE_EVENTS_DEFAULT);
            let proven = gateway.prove_again(&reader).await;
            let page = match proven {
                Ok(()) => page(&gateway, &reader, &asked).await,
                Err(error) => Err(error),
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            left = left.saturating_sub(page.records.len());
            asked.after = RecordsCursor::parse(&page.cursor);
            let end = RecordsEnd { cursor: page.cursor, position: page.position, more: page.more, pull_cursor: page.pull_cursor };
            yield Ok(lines::encode(page.records.into_iter().map(Line::<RecordView, RecordsEnd>::Item)));
            if !end.more || left == 0 {
                yield Ok(lines::encode([Line::<RecordView, _>::End(end)].into_iter()));
                return;
            }
        }
    })
}
