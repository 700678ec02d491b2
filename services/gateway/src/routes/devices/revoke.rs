//! `DELETE /devices/{device}`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::params::Params;
use crate::routes::devices::parse;

/// Revokes a device.
///
/// A device may revoke itself. To revoke another device, the caller's role must be in the catalog's `manage_devices`.
#[utoipa::path(delete, path = "/api/v1/devices/{device}", tag = "devices", params(("device" = String, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(crate) async fn revoke(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let caller = gateway.device(&request).await?;
    let device = parse(&path)?;
    if caller.device != device {
        gateway.check_manages_devices(&caller, None).await?;
    }
    gateway.revoke_device((caller.workspace, device), &RequestId::of(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
