//! `GET /sync/pull`

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::limits::PULL_WAIT_MS_MAX;
use tidelog_core::wire::{EventView, PullAnswer, PullEnd};

use super::lines::{self, Line};
use crate::access::AccessChange;
use crate::answer::{Form, answer, form_of};
use crate::auth::Reader;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::params::Params;
use crate::pull::PullRequest;

/// Events after a cursor, in order, whole batches. NDJSON streams them all up to the head at the time of the call.
#[utoipa::path(get, path = "/api/v1/sync/pull", tag = "sync",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the page before; from the start without"),
        ("limit" = Option<u64>, Query, description = "Most events, 1 to 10,000; a batch is never split for it"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for an event, up to 30,000"),
    ),
    responses((status = 200, body = PullAnswer), (status = 400), (status = 409), (status = 410)))]
pub(crate) async fn pull(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "wait"])?;
    let form = form_of(&request, true)?;
    let reader = gateway.reader(&request).await?;
    let limit = params.limit()?;
    let wait = params.number("wait", (0, PULL_WAIT_MS_MAX))?.map(Duration::from_millis);
    let all = PullRequest::after(cursor_of(&params)?);
    let pull = PullRequest {
        limit: limit.unwrap_or(all.limit),
        tables: params.tables()?,
        wait: wait.unwrap_or_default(),
        ..all
    };
    match form {
        Form::Whole(encoding) => {
            answer(actix_web::http::StatusCode::OK, encoding, &gateway.pull(&reader, &pull).await?)
        }
        Form::Lines => stream_events(gateway.into_inner(), reader, pull, limit).await,
    }
}

fn cursor_of(params: &Params) -> Result<Cursor, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(Cursor::START),
        Some(text) => {
            Cursor::parse(text).ok_or_else(|| ApiError::new(Code::CursorInvalid, "this is no cursor of a pull"))
        }
    }
}

/// Every event up to the head at the time of the call (or `limit` of them), page by page at the reader's pace: one page
/// is in memory, and no database connection is held between two.
async fn stream_events(
    gateway: Arc<Gateway>,
    reader: Reader,
    pull: PullRequest,
    limit: Option<usize>,
) -> Result<HttpResponse, ApiError> {
    let until = gateway.check_cursor(&reader, pull.after).await?;
    gateway.note_read(&reader, pull.after);
    let events = stream! {
        let _open = lines::OpenStream::new(&gateway.metrics);
        let (mut after, mut left) = (pull.after, limit.unwrap_or(usize::MAX));
        let (mut more, mut access) = (after.position < until.0, AccessChange::default());
        while more && left > 0 {
            let (page, changed) = match next_page(&gateway, &reader, after, until, left, &pull).await {
                Ok(page) => page,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            access.extend(changed);
            left = left.saturating_sub(page.events.len());
            gateway.metrics.events_pulled.with_label_values::<&str>(&[]).inc_by(page.events.len() as u64);
            after = page.end;
            more = after.position < until.0;
            yield lines::encode(page.events.into_iter().map(|event| Line::<_, PullEnd>::Item(EventView::from(event))));
        }
        let (resync, drop) = access.into_lists();
        let end = PullEnd { cursor: after, position: after.position, more, resync, drop };
        yield lines::encode([Line::<EventView, _>::End(end)].into_iter());
    };
    Ok(lines::respond(events))
}

async fn next_page(
    gateway: &Gateway,
    reader: &Reader,
    after: Cursor,
    until: (Position, i64),
    left: usize,
    pull: &PullRequest,
) -> Result<(tidelog_postgres::EventPage, AccessChange), ApiError> {
    gateway.prove_again(reader).await?;
    let pull = PullRequest { limit: left.min(pull.limit), ..pull.clone() };
    let (page, in_force) = gateway.page_until(reader, after, until, &pull).await?;
    let changed = gateway.changed_access(reader, &in_force.catalog, &page.events).await?;
    Ok((page, changed))
}
