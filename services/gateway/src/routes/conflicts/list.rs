//! `GET /conflicts`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::cursor::ConflictsCursor;
use tidelog_core::error::Code;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{ConflictId, InvalidName, Position, RecordId, Scope, TableName};
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::ConflictsResponse;
use tidelog_postgres::{ConflictOrder, ConflictPlace, ConflictsPage, ConflictsQuery};

use crate::auth::Wanted;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

const PARAMS: [&str; 7] = ["status", "table", "record", "scope", "changed_after", "after", "limit"];

/// Lists the conflicts, oldest first: every value that lost, with the value that it lost to.
///
/// With `changed_after`, those that changed after a position, in the order of their last change. A page may be empty
/// although more pages follow; `more` says whether they do.
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts",
    params(
        ("status" = Option<String>, Query, description = "Only conflicts of this status: open, resolved, overtaken or automatic"),
        ("table" = Option<String>, Query),
        ("record" = Option<String>, Query),
        ("scope" = Option<String>, Query),
        ("changed_after" = Option<i64>, Query,
            description = "Only conflicts that were made, resolved or overtaken after this position, in the order in which they last were"),
        ("after" = Option<String>, Query, description = "The cursor of the previous page, with `changed_after` if that page had it. Without it, the first page"),
        ("limit" = Option<u64>, Query, description = "Maximum number of conflicts, 1 to 10,000"),
    ),
    responses((status = 200, body = ConflictsResponse), (status = 400), (status = 409), (status = 422)))]
pub(crate) async fn conflicts(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &PARAMS)?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let invalid = |e: InvalidName| ApiError::new(Code::QueryInvalid, e.to_string());
    let status = params.text("status").map(|status| {
        ConflictStatus::parse(status)
            .ok_or_else(|| ApiError::new(Code::QueryInvalid, "status must be open, resolved, overtaken or automatic"))
    });
    let catalog = gateway.catalog_of_reader(&reader).await?;
    let start = start_of(&params)?;
    let query = ConflictsQuery {
        order: start.order,
        after: start.after,
        filter: &reader.filter(&catalog, &Wanted::default()),
        status: status.transpose()?,
        table: params.text("table").map(TableName::parse).transpose().map_err(invalid)?,
        record: params.text("record").map(RecordId::parse).transpose().map_err(invalid)?,
        scope: params.text("scope").map(Scope::parse).transpose().map_err(invalid)?,
        limit: params.page_limit()?,
        bytes: PAGE_BYTES_MAX,
    };
    let page = gateway.store.conflicts(reader.workspace(), &query).await?;
    if start.generation.is_some_and(|generation| generation != page.generation) {
        let detail =
            "the records were rebuilt since this cursor was made: list the conflicts from `changed_after` alone";
        return Err(ApiError::new(Code::CursorDiverged, detail));
    }
    let cursor = Some(cursor_of(query.order, &page));
    ok(&request, &ConflictsResponse { conflicts: page.conflicts, cursor, more: page.more })
}

/// Where a page begins.
struct Start {
    order: ConflictOrder,
    after: Option<ConflictPlace>,
    /// The generation of the cursor, if there is one that names it.
    generation: Option<i64>,
}

fn start_of(params: &Params) -> Result<Start, ApiError> {
    let invalid = || ApiError::new(Code::CursorInvalid, "`after` must be a cursor of /conflicts, with the same order");
    let changed_after = params.number("changed_after", (0, i64::MAX))?;
    let cursor = params.text("after").filter(|text| !text.is_empty());
    match (changed_after, cursor) {
        (None, None) => Ok(Start { order: ConflictOrder::Made, after: None, generation: None }),
        (None, Some(text)) => {
            let conflict = ConflictId::parse(text).map_err(|_| invalid())?;
            let after = ConflictPlace::of(&conflict).ok_or_else(invalid)?;
            Ok(Start { order: ConflictOrder::Made, after: Some(after), generation: None })
        }
        (Some(changed_after), None) => {
            let after = ConflictPlace::after_change(Position(changed_after));
            Ok(Start { order: ConflictOrder::Changed, after: Some(after), generation: None })
        }
        (Some(_), Some(text)) => {
            let cursor = ConflictsCursor::parse(text).ok_or_else(invalid)?;
            let ConflictsCursor { generation, changed_at, position, field } = cursor;
            let after = ConflictPlace { changed_at, position, field };
            Ok(Start { order: ConflictOrder::Changed, after: Some(after), generation: Some(generation) })
        }
    }
}

/// Where to go on after a page. If there is no conflict at all, that is before the first one.
fn cursor_of(order: ConflictOrder, page: &ConflictsPage) -> String {
    let first = ConflictPlace { changed_at: Position::START, position: Position::START, field: String::new() };
    let last = page.last.clone().unwrap_or(first);
    match order {
        ConflictOrder::Made => last.conflict().to_string(),
        ConflictOrder::Changed => {
            let ConflictPlace { changed_at, position, field } = last;
            ConflictsCursor { generation: page.generation, changed_at, position, field }.to_string()
        }
    }
}
