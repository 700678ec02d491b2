//! `POST /sync`: push and pull in one round trip.

use std::time::Duration;

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};
use tidelog_core::wire::{SyncRequest, SyncResponse, encode, sync_frame};

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::params::Params;
use crate::http::response::{encoded, encoding_of, unwritable};
use crate::pull::PullRequest;

/// Pushes the ops, then pulls after the cursor: the page holds the ops just pushed if it reaches that far.
#[utoipa::path(post, path = "/api/v1/sync", tag = "sync", request_body = tidelog_core::wire::schema::SyncWire,
    responses((status = 200, body = SyncResponse), (status = 409), (status = 413), (status = 422), (status = 503)))]
pub(crate) async fn sync(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let encoding = encoding_of(&request)?;
    let device = gateway.device(&request).await?;
    let asked: SyncRequest = read_body(&request, body, &gateway.metrics, SyncRequest::read).await?;
    let limit = match asked.limit {
        None => PAGE_EVENTS_DEFAULT,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=PAGE_EVENTS_MAX).contains(limit))
            .ok_or_else(|| ApiError::new(Code::ShapeInvalid, "limit is a whole number from 1 to 10000"))?,
    };
    let after = asked.push.cursor.unwrap_or(Cursor::START);
    let push = gateway.push(&device, asked.push, None, &RequestId::of(&request)).await?;
    let pull = PullRequest { after, limit, tables: asked.tables, wait: Duration::ZERO };
    let (answer, page) = gateway.pull(&Reader::Device(device), &pull).await?;
    let push = encode(encoding, &push).map_err(|error| unwritable(&error))?;
    let [before, between, after] = sync_frame(encoding);
    let mut parts = vec![Bytes::from([before, &push, between].concat())];
    parts.extend(page.encode(encoding, &answer)?);
    parts.push(Bytes::from_static(after));
    Ok(encoded(encoding, parts))
}
