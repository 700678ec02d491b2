//! `POST /sync`: push and pull in one round trip.

use std::time::Duration;

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};
use tidelog_core::wire::{SyncRequest, SyncResponse, encode, sync_frame};

use crate::auth::{Reader, Wanted};
use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::connection::Client;
use crate::http::error::{ApiError, unwritable};
use crate::http::middleware::RequestId;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::respond_encoded;
use crate::pull::PullRequest;

/// Pushes operations and pulls the events after a cursor, in one round trip.
///
/// The page includes the operations just pushed, if it reaches that far.
#[utoipa::path(post, path = "/api/v1/sync", tag = "sync", request_body = tidelog_core::wire::schema::SyncMembers,
    responses((status = 200, body = SyncResponse), (status = 409), (status = 413), (status = 422), (status = 503)))]
pub(crate) async fn sync(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let encoding = encoding_of(&request)?;
    let device = gateway.device(&request).await?;
    let sync: SyncRequest = read_body(&request, body, &gateway, device.owner(), SyncRequest::read).await?;
    let limit = match sync.limit {
        None => PAGE_EVENTS_DEFAULT,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=PAGE_EVENTS_MAX).contains(limit))
            .ok_or_else(|| ApiError::new(Code::ShapeInvalid, "limit must be a whole number from 1 to 10000"))?,
    };
    let after = sync.push.cursor.unwrap_or(Cursor::START);
    let client = Client::of(&request);
    let push = gateway.push(&device, sync.push, None, &client, &RequestId::of(&request)).await?;
    let wanted = Wanted { tables: sync.tables, scopes: sync.scopes };
    let pull = PullRequest { after, limit, wanted, wait: Duration::ZERO, digests: false, encoding, takes_zstd: false };
    let (response, page) = gateway.pull(&Reader::Device(device), &pull, &client).await?;
    let push = encode(encoding, &push).map_err(|error| unwritable(&error))?;
    let [before, between, after] = sync_frame(encoding);
    let mut parts = vec![Bytes::from([before, &push, between].concat())];
    parts.extend(page.body(&response)?);
    parts.push(Bytes::from_static(after));
    Ok(respond_encoded(encoding, parts))
}
