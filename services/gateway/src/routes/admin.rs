//! `/admin/v1`: routes for operators, on the admin listener only, authenticated by an admin token.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::NAME_BYTES_MAX;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{DevicePatch, DeviceView, decode};
use tidelog_postgres::CredentialKind;

use crate::auth::owner_of;
use crate::auth::workspaces::{CreatedWorkspace, create_workspace as create};
use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::middleware::RequestId;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::routes::devices::{absent, parse};

/// The response to `GET /admin/v1/workspaces`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct WorkspaceList {
    /// The workspaces, in the order of their creation.
    workspaces: Vec<WorkspaceView>,
}

/// A workspace in the list.
#[derive(Serialize, utoipa::ToSchema)]
struct WorkspaceView {
    /// The id of the workspace.
    #[schema(value_type = String, format = Uuid)]
    workspace: WorkspaceId,
    /// Its name.
    name: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMs,
    /// The last position of its log.
    #[schema(value_type = i64)]
    head: Position,
    /// The position up to which its log is folded.
    #[schema(value_type = i64)]
    projected: Position,
    /// The number of its devices.
    devices: i64,
}

/// The body of a request for a new workspace.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWorkspace {
    /// The name of the workspace: 1 to 255 bytes.
    name: String,
}

/// Lists every workspace, with the head of its log and how far that is folded.
#[utoipa::path(get, path = "/admin/v1/workspaces", tag = "admin", responses((status = 200, body = WorkspaceList)))]
pub(crate) async fn workspaces(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    gateway.bearer(&request, CredentialKind::AdminToken).await?;
    let rows = gateway.store.workspaces().await?;
    let views = rows.into_iter().map(|row| WorkspaceView {
        workspace: row.workspace,
        name: row.name,
        created_at: row.created_at,
        head: row.head,
        projected: row.projected,
        devices: row.devices,
    });
    ok(&request, &WorkspaceList { workspaces: views.collect() })
}

/// Creates a workspace with an enrollment key for each role of the catalog.
#[utoipa::path(post, path = "/admin/v1/workspaces", tag = "admin", request_body = NewWorkspace,
    responses((status = 200, body = CreatedWorkspace)))]
pub(crate) async fn create_workspace(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let admin = gateway.bearer(&request, CredentialKind::AdminToken).await?;
    encoding_of(&request)?;
    let new: NewWorkspace =
        read_body(&request, body, &gateway, owner_of(&admin), |encoding, body| decode(encoding, body)).await?;
    if new.name.is_empty() || new.name.len() > NAME_BYTES_MAX || new.name.contains('\0') {
        return Err(ApiError::new(Code::NameInvalid, "name must be 1 to 255 bytes of UTF-8 without NUL"));
    }
    let in_force = gateway.catalogs.refresh().await?;
    let created = create(&gateway.store, &gateway.runtime, &in_force.catalog, &new.name).await?;
    ok(&request, &created)
}

/// Changes the name, role or scopes of a device.
#[utoipa::path(patch, path = "/admin/v1/workspaces/{workspace}/devices/{device}", tag = "admin",
    params(("workspace" = String, Path), ("device" = String, Path)),
    request_body = tidelog_core::wire::schema::PatchMembers,
    responses((status = 200, body = DeviceView), (status = 404)))]
pub(crate) async fn change_device(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let admin = gateway.bearer(&request, CredentialKind::AdminToken).await?;
    encoding_of(&request)?;
    let patch: DevicePatch =
        read_body(&request, body, &gateway, owner_of(&admin), |encoding, body| decode(encoding, body)).await?;
    let workspace = WorkspaceId::parse(&path.0).map_err(|e| ApiError::new(Code::IdInvalid, e.to_string()))?;
    let device = parse(&path.1)?;
    gateway.change_device((workspace, device), &patch, &RequestId::of(&request)).await?;
    let found = gateway.store.devices(workspace, Some(device)).await?;
    ok(&request, found.first().ok_or_else(absent)?)
}
