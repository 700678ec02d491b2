//! `/devices`: register with an enrollment key, list, revoke.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::DeviceId;
use tidelog_core::wire::{DeviceList, DeviceView, RegisterRequest, RegisterResponse};
use tidelog_postgres::{Credential, CredentialKind, KeyRefusal, NewDevice, RegisterOutcome};

use crate::auth::{DevicePrincipal, owner_of};
use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::{ok, respond};
use tidelog_core::wire::decode;

/// Registers a device.
///
/// The caller authenticates with an enrollment key. The device belongs to the workspace of the key and has its role and
/// scopes. The response is the only one that ever shows the device's token.
#[utoipa::path(post, path = "/api/v1/devices", tag = "devices", request_body = tidelog_core::wire::schema::RegisterMembers,
    responses((status = 201, body = RegisterResponse), (status = 403), (status = 429)))]
pub(crate) async fn register(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let key = gateway.bearer(&request, CredentialKind::EnrollmentKey).await?;
    let encoding = encoding_of(&request)?;
    let registration: RegisterRequest =
        read_body(&request, body, &gateway, owner_of(&key), |encoding, body| decode(encoding, body)).await?;
    if registration.replaces.is_some_and(DeviceId::is_system) {
        return Err(ApiError::new(Code::IdInvalid, "replaces must name a device of an app, not the system device"));
    }
    let device = DeviceId(gateway.runtime.random.uuid());
    let secret = gateway.runtime.random.bytes();
    let token = Credential::new(CredentialKind::DeviceToken, key.workspace, device.0, secret);
    let RegisterRequest { name, platform, replaces } = registration;
    let new = NewDevice { device, name: &name, platform: platform.as_deref(), replaces };
    let now = gateway.runtime.clock.now();
    let registered = gateway.store.register_device(key.workspace, key.id, &new, &token.hash(), now).await?;
    let (role, scopes) = match registered {
        RegisterOutcome::Registered(role, scopes) => (role, scopes),
        RegisterOutcome::Refused(state) => return Err(refusal(state)),
    };
    let registered =
        RegisterResponse { device, workspace: key.workspace, name, role, scopes, token: token.reveal(), last_seq: 0 };
    respond(StatusCode::CREATED, encoding, &registered)
}

fn refusal(state: KeyRefusal) -> ApiError {
    match state {
        KeyRefusal::Unknown => ApiError::new(Code::TokenInvalid, "this credential is not valid"),
        KeyRefusal::Ended => {
            ApiError::new(Code::KeyExhausted, "this enrollment key is expired, revoked or used up: ask for a new one")
        }
        KeyRefusal::HourFull { retry_after_ms } => {
            let limited = ApiError::new(
                Code::RateLimited,
                "this enrollment key has registered all the devices that it may in this hour",
            );
            ApiError { retry_after_ms: Some(retry_after_ms), ..limited }
        }
    }
}

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

fn parse(text: &str) -> Result<DeviceId, ApiError> {
    DeviceId::parse(text).map_err(|e| ApiError::new(Code::IdInvalid, e.to_string()))
}

fn absent() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such device in this workspace")
}
