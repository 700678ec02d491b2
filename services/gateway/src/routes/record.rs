//! `GET /records/{table}/{record}`

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{InvalidName, Position, RecordId, Scope, TableName};
use tidelog_core::wire::RecordView;

use crate::answer::{answer, encoding_of};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::params::Params;

/// One record as it is folded now, tombstones included. Its ETag names generation and version.
#[utoipa::path(get, path = "/api/v1/records/{table}/{record}", tag = "records",
    params(("table" = String, Path), ("record" = String, Path), ("scope" = Option<String>, Query)),
    responses((status = 200, body = RecordView), (status = 304), (status = 404)))]
pub(crate) async fn record(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["scope"])?;
    let encoding = encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let (table, record) = path.into_inner();
    let invalid = |e: InvalidName| ApiError::new(Code::NameInvalid, e.to_string());
    let key = RecordKey {
        table: TableName::parse(table).map_err(invalid)?,
        scope: Scope::parse(params.text("scope").unwrap_or_default()).map_err(invalid)?,
        record: RecordId::parse(record).map_err(invalid)?,
    };
    // What may not be seen answers as what is not there.
    let absent = || ApiError::new(Code::NotFound, "there is no such record");
    let head = gateway.store.head(reader.workspace(), Position::START).await?.ok_or_else(absent)?;
    let in_force = gateway.catalog.of_log(head.catalog_version).await?;
    if !reader.may_read(&in_force, key.table.as_str(), &key.scope) {
        return Err(absent());
    }
    let checkpoint = gateway.store.checkpoint(reader.workspace()).await?.ok_or_else(absent)?;
    let (key, record) = gateway.store.record(reader.workspace(), &key).await?.ok_or_else(absent)?;
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
