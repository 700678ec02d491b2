//! `POST /conflicts/{conflict}/resolve`

use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::limits::PUSH_WAIT_MS_MAX;
use tidelog_core::wire::{Choice, ResolveResponse, decode};

use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

/// Settles an open conflict, or restores a value that lost to a rule.
///
/// The server appends the operation itself, so it takes no seq of the caller.
#[utoipa::path(post, path = "/api/v1/conflicts/{conflict}/resolve", tag = "conflicts",
    request_body = tidelog_core::wire::schema::ResolveMembers,
    params(
        ("conflict" = String, Path),
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for the verdict"),
    ),
    responses((status = 200, body = ResolveResponse), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn resolve(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["wait"])?;
    let wait = params.number("wait", (0, PUSH_WAIT_MS_MAX))?.map(Duration::from_millis);
    encoding_of(&request)?;
    let device = gateway.device(&request).await?;
    let choice: Choice =
        read_body(&request, body, &gateway, device.owner(), |encoding, body| decode(encoding, body)).await?;
    let resolved =
        gateway.resolve(device, &path, choice, wait, &Client::of(&request), &RequestId::of(&request)).await?;
    ok(&request, &resolved)
}
