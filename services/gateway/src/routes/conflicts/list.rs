//! `GET /conflicts`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{ConflictId, InvalidName, RecordId, Scope, TableName};
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::ConflictsResponse;
use tidelog_postgres::ConflictsQuery;

use crate::auth::Wanted;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

/// Lists the conflicts, oldest first: every value that lost, with the value that it lost to.
///
/// A page may be empty although more pages follow; `more` says whether they do.
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts",
    params(
        ("status" = Option<String>, Query, description = "Only conflicts of this status: open, resolved, overtaken or automatic"),
        ("table" = Option<String>, Query),
        ("record" = Option<String>, Query),
        ("scope" = Option<String>, Query),
        ("after" = Option<String>, Query, description = "The cursor of the previous page. Without it, the first page"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10_000, description = "Maximum number of conflicts, 1,000 by default"),
    ),
    responses((status = 200, body = ConflictsResponse), (status = 400), (status = 422)))]
pub(crate) async fn conflicts(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["status", "table", "record", "scope", "after", "limit"])?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let invalid = |e: InvalidName| ApiError::new(Code::QueryInvalid, e.to_string());
    let status = params.text("status").map(|status| {
        ConflictStatus::parse(status)
            .ok_or_else(|| ApiError::new(Code::QueryInvalid, "status must be open, resolved, overtaken or automatic"))
    });
    let catalog = gateway.catalog_of_reader(&reader).await?;
    let query = ConflictsQuery {
        after: cursor_of(&params)?,
        filter: &reader.filter(&catalog, &Wanted::default()),
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
    let invalid = || ApiError::new(Code::CursorInvalid, "`after` must be a cursor of /conflicts");
    match params.text("after") {
        None | Some("") => Ok(None),
        Some(text) => {
            let cursor = ConflictId::parse(text).map_err(|_| invalid())?;
            if cursor.parts().is_some() { Ok(Some(cursor)) } else { Err(invalid()) }
        }
    }
}
