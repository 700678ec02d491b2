//! `GET /records/{table}/{record}`

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{InvalidName, RecordId, Scope, TableName};
use tidelog_core::wire::RecordView;

use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::etag::Etag;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::respond;

/// Reads one record, as it is now or was at an earlier position or time.
///
/// A deleted record is returned too, as its tombstone. Without `as_of` the response has an ETag; with `If-None-Match` it is
/// 304 while the record is unchanged.
#[utoipa::path(get, path = "/api/v1/records/{table}/{record}", tag = "records",
    params(
        ("table" = String, Path),
        ("record" = String, Path),
        ("scope" = Option<String>, Query),
        ("as_of" = Option<String>, Query, description = "A position in the log, or an RFC 3339 time: the record as it was then"),
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
    let catalog = gateway.catalog_of_reader(&reader).await?;
    if !reader.may_read(&catalog, key.table.as_str(), &key.scope) {
        return Err(absent());
    }
    if let Some(as_of) = params.text("as_of") {
        let until = gateway.position_of(&reader, as_of, &Client::of(&request)).await?;
        let record = gateway.record_as_of(workspace, &key, until).await?.ok_or_else(absent)?;
        return respond(StatusCode::OK, encoding, &record.to_view(key.table, key.scope, key.record, false));
    }
    let checkpoint = gateway.store.checkpoint(workspace).await?.ok_or_else(absent)?;
    let (key, record) = gateway.store.record(workspace, &key).await?.ok_or_else(absent)?;
    Etag::new(&version_of(checkpoint.generation, &record), encoding).respond(&request, || {
        respond(StatusCode::OK, encoding, &record.to_view(key.table, key.scope, key.record, false))
    })
}

/// What names a state of a record as readers see it. An event may open or close a conflict without another change, so
/// while conflicts are open, the last event that named the record is part of it.
fn version_of(generation: i64, record: &Record) -> String {
    match record.open_conflicts.is_empty() {
        true => format!("{generation}.{}", record.version),
        false => format!("{generation}.{}-{}", record.version, record.touched),
    }
}

/// The key of the record that the path and the parameter `scope` name.
pub(crate) fn key_of((table, record): (String, String), params: &Params) -> Result<RecordKey, ApiError> {
    let invalid = |e: InvalidName| ApiError::new(Code::NameInvalid, e.to_string());
    Ok(RecordKey {
        table: TableName::parse(table).map_err(invalid)?,
        scope: Scope::parse(params.text("scope").unwrap_or_default()).map_err(invalid)?,
        record: RecordId::parse(record).map_err(invalid)?,
    })
}

/// The error for a record that does not exist, and for one that the reader may not see (SEC-1).
pub(crate) fn absent() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such record")
}
