//! `POST /sync/push`

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::limits::PUSH_WAIT_MS_MAX;
use tidelog_core::wire::{PushRequest, PushResponse};

use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::push::outcomes::OutcomesWanted;

/// Pushes a batch of operations.
///
/// When the response arrives, they are durable and part of every later pull.
#[utoipa::path(post, path = "/api/v1/sync/push", tag = "sync", request_body = tidelog_core::wire::schema::PushMembers,
    params(
        ("wait" = Option<u64>, Query, description = "Milliseconds to wait for the verdicts of the operations, up to 10,000"),
        ("records" = Option<bool>, Query, description = "With `wait`: whether to add to each outcome the record of its operation, as it is then"),
    ),
    responses((status = 200, body = PushResponse), (status = 409), (status = 413), (status = 422), (status = 503)))]
pub(crate) async fn push(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["wait", "records"])?;
    let with_records = params.flag("records")?;
    let wait = params.number("wait", (0, PUSH_WAIT_MS_MAX))?;
    if wait.is_none() && with_records {
        return Err(ApiError::new(Code::QueryInvalid, "records needs wait: they come with the outcomes"));
    }
    let wait = wait.map(|ms| OutcomesWanted { wait: Duration::from_millis(ms), with_records });
    encoding_of(&request)?;
    let device = gateway.device(&request).await?;
    let push: PushRequest = read_body(&request, body, &gateway, device.owner(), PushRequest::read).await?;
    let pushed = gateway.push(&device, push, wait, &Client::of(&request), &RequestId::of(&request)).await?;
    ok(&request, &pushed)
}
