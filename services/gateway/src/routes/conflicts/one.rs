//! `GET /conflicts/{conflict}`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::ConflictView;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

/// Reads one conflict.
#[utoipa::path(get, path = "/api/v1/conflicts/{conflict}", tag = "conflicts", params(("conflict" = String, Path)),
    responses((status = 200, body = ConflictView), (status = 404)))]
pub(crate) async fn conflict(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    ok(&request, &gateway.conflict(&reader, &path).await?)
}
