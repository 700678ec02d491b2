//! `/admin/v1`: operator routes, on the admin listener only, by an admin token.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::NAME_BYTES_MAX;
use tidelog_core::time::UnixMs;
use tidelog_postgres::CredentialKind;

use crate::gateway::Gateway;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::{encoding_of, ok};
use crate::workspaces::create_workspace as create;
use tidelog_core::wire::decode;

#[derive(Serialize)]
struct WorkspaceView {
    workspace: WorkspaceId,
    name: String,
    created_at: UnixMs,
    head: Position,
    projected: Position,
    devices: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWorkspace {
    name: String,
}

/// Every workspace with how far it is.
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
    ok(&request, &serde_json::json!({"workspaces": views.collect::<Vec<_>>()}))
}

/// Makes a workspace with an enrollment key for each role of the catalog.
pub(crate) async fn create_workspace(
    gateway: Data<Gateway>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    gateway.bearer(&request, CredentialKind::AdminToken).await?;
    encoding_of(&request)?;
    let asked: NewWorkspace =
        read_body(&request, body, &gateway.metrics, |encoding, body| decode(encoding, body)).await?;
    if asked.name.is_empty() || asked.name.len() > NAME_BYTES_MAX || asked.name.contains('\0') {
        return Err(ApiError::new(Code::NameInvalid, "name has 1 to 255 bytes of UTF-8 without NUL"));
    }
    let known = gateway.catalog.refresh().await?;
    let created = create(&gateway.store, &gateway.runtime, &known.0.catalog, &asked.name).await?;
    ok(&request, &created)
}
