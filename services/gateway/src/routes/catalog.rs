//! `GET /catalog`

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::CatalogView;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::{answer, encoding_of};

/// The catalog in force. Its ETag names its version.
#[utoipa::path(get, path = "/api/v1/catalog", tag = "catalog", responses((status = 200, body = CatalogView), (status = 304)))]
pub(crate) async fn catalog(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Params::read(&request, &[])?;
    let encoding = encoding_of(&request)?;
    gateway.reader(&request).await?;
    let known = gateway.catalog.refresh().await?;
    let etag = format!("\"{}\"", known.0.version);
    let given = request.headers().get(header::IF_NONE_MATCH).and_then(|given| given.to_str().ok());
    if given.is_some_and(|given| given.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish());
    }
    let view = CatalogView { version: known.0.version.0, catalog: known.0.catalog.file.clone() };
    let mut response = answer(StatusCode::OK, encoding, &view)?;
    if let Ok(etag) = header::HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}
