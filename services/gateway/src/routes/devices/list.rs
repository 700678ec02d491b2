//! `GET /devices` and `GET /devices/{device}`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::{DeviceList, DeviceView};

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::routes::devices::{absent, parse};

/// Lists the devices of the caller's workspace, oldest first.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", responses((status = 200, body = DeviceList)))]
pub(crate) async fn devices(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let reader = gateway.reader(&request).await?;
    gateway.flush_presence().await;
    ok(&request, &DeviceList { devices: gateway.store.devices(reader.workspace(), None).await? })
}

/// Reads one device of the caller's workspace.
#[utoipa::path(get, path = "/api/v1/devices/{device}", tag = "devices", params(("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = 404)))]
pub(crate) async fn device(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let reader = gateway.reader(&request).await?;
    let device = parse(&path)?;
    gateway.flush_presence().await;
    let found = gateway.store.devices(reader.workspace(), Some(device)).await?;
    ok(&request, found.first().ok_or_else(absent)?)
}
