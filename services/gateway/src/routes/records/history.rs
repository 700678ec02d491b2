//! `GET /records/{table}/{record}/history`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::wire::HistoryResponse;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::routes::records::one::{absent, key_of};

/// Reads the history of a record: every event that named it, oldest first, each with its verdict.
///
/// Left out are events that are not folded yet, and rejected ones, which have no effect on the record.
#[utoipa::path(get, path = "/api/v1/records/{table}/{record}/history", tag = "records",
    params(
        ("table" = String, Path),
        ("record" = String, Path),
        ("scope" = Option<String>, Query),
        ("after" = Option<String>, Query, description = "The cursor of the previous page. Without it, the first page"),
        ("limit" = Option<u64>, Query, description = "Maximum number of events, 1,000 by default"),
    ),
    responses((status = 200, body = HistoryResponse), (status = 400), (status = 404)))]
pub(crate) async fn history(
    gateway: Data<Gateway>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["scope", "after", "limit"])?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let key = key_of(path.into_inner(), &params)?;
    let (after, limit) = (cursor_of(&params)?, params.page_limit()?);
    let catalog = gateway.catalog_of_reader(&reader).await?;
    if !reader.may_read(&catalog, key.table.as_str(), &key.scope) {
        return Err(absent());
    }
    let history = gateway.history_page(reader.workspace(), &key, after, limit).await?;
    ok(&request, &history.ok_or_else(absent)?)
}

fn cursor_of(params: &Params) -> Result<Position, ApiError> {
    match params.text("after") {
        None | Some("") => Ok(Position::START),
        Some(text) => {
            let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
            number
                .map(Position)
                .ok_or_else(|| ApiError::new(Code::CursorInvalid, "`after` must be a cursor of a record's history"))
        }
    }
}
