//! `GET /sync/ops/{seq}`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::Seq;
use tidelog_core::wire::OpStatus;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::ok;

/// Reads the outcome of one of the caller's own operations.
///
/// It is kept forever: a device may ask at any later time.
#[utoipa::path(get, path = "/api/v1/sync/ops/{seq}", tag = "sync", params(("seq" = i64, Path)),
    responses((status = 200, body = OpStatus), (status = 404)))]
pub(crate) async fn op(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let device = gateway.device(&request).await?;
    let is_plain = path.bytes().all(|b| b.is_ascii_digit());
    let seq = is_plain.then(|| path.parse().ok().and_then(Seq::new)).flatten();
    let seq = seq.ok_or_else(|| ApiError::new(Code::ShapeInvalid, "a seq must be a whole number of at least 1"))?;
    ok(&request, &gateway.op_status(&device, seq).await?)
}
