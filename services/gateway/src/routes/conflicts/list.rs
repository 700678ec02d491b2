//! `GET /conflicts`: the conflicts.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{ConflictId, InvalidName, RecordId, Scope, TableName};
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::ConflictsResponse;
use tidelog_postgres::ConflictsQuery;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::response::{encoding_of, ok};

/// Every value that lost, with what it lost to. A page may be empty and have more behind it.
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts",
    params(
        ("status" = Option<String>, Query, description = "open, resolved, overtaken or automatic"),
        ("table" = Option<String>, Query),
        ("record" = Option<String>, Query),
        ("scope" = Option<String>, Query),
        ("after" = Option<String>, Query, description = "The cursor of the page before; from the start without"),
        ("limit" = Option<u64>, Query, description = "Most rows, 1 to 10,000"),
    ),
    responses((status = 200, body = ConflictsResponse), (status = 400), (status = 422)))]
pub(crate) async fn conflicts(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["status", "table", "record", "scope", "after", "limit"])?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let invalid = |e: InvalidName| ApiError::new(Code::QueryInvalid, e.to_string());
    let status = params.text("status").map(|status| {
        ConflictStatus::parse(status)
            .ok_or_else(|| ApiError::new(Code::QueryInvalid, "status is open, resolved, overtaken or automatic"))
    });
    let in_force = gateway.catalog_of_reader(&reader).await?;
    let query = ConflictsQuery {
        after: cursor_of(&params)?,
        filter: &reader.filter(&in_force, None),
        status: status.transpose()?,
        table: params.text("table").map(TableName::parse).transpose().map_err(invalid)?,
        record: params.text("record").map(RecordId::parse).transpose().map_err(invalid)?,
        scope: params.text("scope").map(Scope::parse).transpose().map_err(invalid)?,
        limit: params.page_limit()?,
        bytes: PAGE_BYTES_MAX,
    };
    let page = gateway.store.conflicts(reader.workspace(), &query).await?;
    let cursor = page.last.map(|last| last.to_string());
    ok(&request, &ConflictsResponse { conflicts: page.conflicts, cursor, more: page.more })
}

fn cursor_of(params: &Params) -> Result<Option<ConflictId>, ApiError> {
    let invalid = || ApiError::new(Code::CursorInvalid, "this is no cursor of /conflicts");
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => {
            let cursor = ConflictId::parse(text).map_err(|_| invalid())?;
            if cursor.parts().is_some() { Ok(Some(cursor)) } else { Err(invalid()) }
        }
    }
}
