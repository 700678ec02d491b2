//! `POST /devices/self/token`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::TokenResponse;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::ok;

/// Gives the caller a new token.
///
/// The token by which it asked stays valid for ten minutes, or until the new one is used for the first time. If the response
/// is lost, the device asks again by the token that it has. The request has no body.
#[utoipa::path(post, path = "/api/v1/devices/self/token", tag = "devices", responses((status = 200, body = TokenResponse)))]
pub(crate) async fn renew(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let device = gateway.device(&request).await?;
    ok(&request, &gateway.renew_token(&device).await?)
}
