//! `POST /devices`

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::DeviceId;
use tidelog_core::wire::{RegisterRequest, RegisterResponse, decode};
use tidelog_postgres::{Credential, CredentialKind, KeyRefusal, NewDevice, RegisterOutcome, RegisteredDevice};

use crate::auth::{owner_of, revoked};
use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::respond;

/// Registers a device.
///
/// The caller authenticates with an enrollment key. The device belongs to the workspace of the key and has its role and
/// scopes. The response is the only one that ever shows the device's token. A request with a `nonce` may be repeated for a
/// day: it answers with the same device and a new token.
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
    let workspace = key.workspace;
    let (id, secret) = (gateway.runtime.random.uuid(), gateway.runtime.random.bytes());
    let mut token = Credential::new(CredentialKind::DeviceToken, workspace, id, secret);
    let RegisterRequest { name, platform, replaces, replaces_through, nonce } = registration;
    let (platform, nonce) = (platform.as_deref(), nonce.as_deref());
    let new = NewDevice { device: DeviceId(token.id), name: &name, platform, replaces, replaces_through, nonce };
    let now = gateway.runtime.clock.now();
    let registered = match gateway.store.register_device(workspace, key.id, &new, &token.hash(), now).await? {
        RegisterOutcome::Registered(registered) => registered,
        RegisterOutcome::Refused(state) => return Err(refusal(state)),
        RegisterOutcome::Revoked => return Err(revoked()),
    };
    let RegisteredDevice { device, name, role, scopes, last_seq } = registered;
    // The nonce may name a device that is registered already: then the token is for that one.
    token.id = device.0;
    gateway.accounts.forget(workspace, device).await;
    let response = RegisterResponse { device, workspace, name, role, scopes, token: token.reveal(), last_seq };
    respond(StatusCode::CREATED, encoding, &response)
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
