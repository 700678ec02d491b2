//! `DELETE /devices/{device}`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::DeviceId;

use crate::auth::DevicePrincipal;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::routes::devices::{absent, parse};

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
    if !may_revoke(&gateway, &caller, device).await? {
        return Err(ApiError::new(Code::Forbidden, "this role may not revoke other devices"));
    }
    if !gateway.store.revoke_device(caller.workspace, device, gateway.runtime.clock.now()).await? {
        return Err(absent());
    }
    gateway.accounts.forget(caller.workspace, device).await;
    Ok(HttpResponse::NoContent().finish())
}

async fn may_revoke(gateway: &Gateway, caller: &DevicePrincipal, device: DeviceId) -> Result<bool, ApiError> {
    let in_force = gateway.catalogs.current().await?;
    Ok(caller.device == device || in_force.catalog.manage_devices.contains(&caller.role))
}
