//! `PATCH /devices/{device}`

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::{DevicePatch, DeviceView, decode};

use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::routes::devices::{absent, parse};

/// Changes the name, role or scopes of a device.
///
/// The caller's role must be in the catalog's `manage_devices`, and it grants no scope that it does not have. Another role
/// or other scopes hold from the place of an event in the log on, and the pulls of the device say what that changes.
#[utoipa::path(patch, path = "/api/v1/devices/{device}", tag = "devices", params(("device" = String, Path)),
    request_body = tidelog_core::wire::schema::PatchMembers,
    responses((status = 200, body = DeviceView), (status = 403), (status = 404), (status = 422)))]
pub(crate) async fn change(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let caller = gateway.device(&request).await?;
    encoding_of(&request)?;
    let device = parse(&path)?;
    let patch: DevicePatch =
        read_body(&request, body, &gateway, caller.owner(), |encoding, body| decode(encoding, body)).await?;
    gateway.check_manages_devices(&caller, patch.scopes.as_ref()).await?;
    gateway.change_device((caller.workspace, device), &patch, &RequestId::of(&request)).await?;
    let found = gateway.store.devices(caller.workspace, Some(device)).await?;
    ok(&request, found.first().ok_or_else(absent)?)
}
