//! `GET /sync/pull`

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PULL_WAIT_MS_MAX};
use tidelog_core::wire::PullResponse;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::{Form, Streams, encoded, form_of};
use crate::pull::PullRequest;
use crate::routes::sync::stream;

/// Events after a cursor, in order, whole batches. NDJSON and `application/msgpack-seq`, a sequence of such answers, stream
/// them all up to the head at the time of the call.
#[utoipa::path(get, path = "/api/v1/sync/pull", tag = "sync",
    params(
        ("after" = Option<String>, Query, description = "The cursor of the page before; from the start without"),
        ("limit" = Option<u64>, Query, description = "Most events, 1 to 10,000; a batch is never split for it"),
        ("tables" = Option<String>, Query, description = "Only these tables, separated by commas"),
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for an event, up to 30,000"),
    ),
    responses((status = 200, body = PullResponse), (status = 400), (status = 409), (status = 410)))]
pub(crate) async fn pull(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "tables", "wait"])?;
    let form = form_of(&request, Streams::LinesAndPages)?;
    let reader = gateway.reader(&request).await?;
    let (limit, tables) = (params.limit()?, params.tables()?);
    let wait = params.number("wait", (0, PULL_WAIT_MS_MAX))?.map(Duration::from_millis);
    let all = PullRequest { tables, wait: wait.unwrap_or_default(), ..PullRequest::after(cursor_of(&params)?) };
    let streamed = PullRequest { limit: limit.unwrap_or(usize::MAX), ..all };
    match form {
        Form::Whole(encoding) => {
            let pull = PullRequest { limit: limit.unwrap_or(PAGE_EVENTS_DEFAULT), ..streamed };
            let (answer, page) = gateway.pull(&reader, &pull).await?;
            Ok(encoded(encoding, page.encode(encoding, &answer)?))
        }
        Form::Lines => stream::events(gateway.into_inner(), reader, streamed).await,
        Form::Pages => stream::pages(gateway.into_inner(), reader, streamed).await,
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
