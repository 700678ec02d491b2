//! `GET /records/{table}/{record}`

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{InvalidName, RecordId, Scope, TableName};
use tidelog_core::wire::RecordView;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::{answer, encoding_of};

/// One record as it is folded now, tombstones included, or with `as_of` as it was then. The ETag of what it is now names
/// generation and version.
#[utoipa::path(get, path = "/api/v1/records/{table}/{record}", tag = "records",
    params(
        ("table" = String, Path),
        ("record" = String, Path),
        ("scope" = Option<String>, Query),
        ("as_of" = Option<String>, Query, description = "A position of the log, or an RFC 3339 time"),
    ),
    responses((status = 200, body = RecordView), (status = 304), (status = 404), (status = 422)))]
pub(crate) async fn record(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["scope", "as_of"])?;
    let encoding = encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let key = key_of(path.into_inner(), &params)?;
    let workspace = reader.workspace();
    let in_force = gateway.catalog_of_reader(&reader).await?;
    if !reader.may_read(&in_force, key.table.as_str(), &key.scope) {
        return Err(absent());
    }
    if let Some(as_of) = params.text("as_of") {
        let until = gateway.place_in_time(workspace, as_of).await?;
        let was = gateway.record_as_of(workspace, &key, until).await?.ok_or_else(absent)?;
        return answer(StatusCode::OK, encoding, &was.to_view(key.table, key.scope, key.record, false));
    }
    let checkpoint = gateway.store.checkpoint(workspace).await?.ok_or_else(absent)?;
    let (key, record) = gateway.store.record(workspace, &key).await?.ok_or_else(absent)?;
    let etag = format!("\"{}.{}\"", checkpoint.generation, record.version);
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|given| given.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish());
    }
    let view = record.to_view(key.table, key.scope, key.record, false);
    let mut response = answer(StatusCode::OK, encoding, &view)?;
    if let Ok(etag) = header::HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// The record that a path and its `scope` name.
pub(crate) fn key_of((table, record): (String, String), params: &Params) -> Result<RecordKey, ApiError> {
    let invalid = |e: InvalidName| ApiError::new(Code::NameInvalid, e.to_string());
    Ok(RecordKey {
        table: TableName::parse(table).map_err(invalid)?,
        scope: Scope::parse(params.text("scope").unwrap_or_default()).map_err(invalid)?,
        record: RecordId::parse(record).map_err(invalid)?,
    })
}

/// What may not be seen answers as what is not there.
pub(crate) fn absent() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such record")
}
