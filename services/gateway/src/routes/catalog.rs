//! `GET /catalog`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::CatalogView;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::etag::Etag;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::respond;

/// Reads the catalog in force: tables, rules and roles.
///
/// The ETag is that of the version, and weak. With `If-None-Match` the response is 304 while that version is in force.
#[utoipa::path(get, path = "/api/v1/catalog", tag = "catalog", responses((status = 200, body = CatalogView), (status = 304)))]
pub(crate) async fn catalog(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let encoding = encoding_of(&request)?;
    gateway.reader(&request).await?;
    let in_force = gateway.catalogs.refresh().await?;
    Etag::new(&in_force.version.to_string(), encoding).respond(&request, || {
        let view = CatalogView { version: in_force.version.0, catalog: in_force.catalog.file.clone() };
        respond(StatusCode::OK, encoding, &view)
    })
}
