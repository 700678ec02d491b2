//! `GET /records/{table}/{record}/history`

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{EventView, HistoryEvent, HistoryResponse};

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;
use crate::routes::records::one::{absent, key_of};

/// Events in one read: 16 MiB at most.
const READ_EVENTS_MAX: usize = 64;

/// Reads the history of a record: every event that named it, oldest first, each with its verdict.
///
/// Left out are events that are not folded yet, and rejected ones, which have no effect on the record.
#[utoipa::path(get, path = "/api/v1/records/{table}/{record}/history", tag = "records",
    params(
        ("table" = String, Path),
        ("record" = String, Path),
        ("scope" = Option<String>, Query),
        ("after" = Option<String>, Query, description = "The cursor of the previous page. Without it, the first page"),
        ("limit" = Option<u64>, Query, description = "Maximum number of events, 1 to 10,000"),
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
    let (start, limit) = (cursor_of(&params)?, params.page_limit()?);
    let catalog = gateway.catalog_of_reader(&reader).await?;
    if !reader.may_read(&catalog, key.table.as_str(), &key.scope) {
        return Err(absent());
    }
    let (workspace, store) = (reader.workspace(), &gateway.store);
    let past = store.record_positions(workspace, &key).await?.ok_or_else(absent)?;
    let (mut events, mut after, mut more, mut bytes) = (Vec::new(), start, true, 0);
    while more && events.len() < limit && bytes < PAGE_BYTES_MAX {
        let wanted = READ_EVENTS_MAX.min(limit - events.len());
        let mut positions = store.positions_after(workspace, &past, after, wanted + 1).await?;
        more = positions.len() > wanted;
        positions.truncate(wanted);
        after = positions.last().copied().unwrap_or(after);
        let verdicts = store.verdicts_at(workspace, &positions).await?;
        let mut verdicts = verdicts.into_iter().peekable();
        for event in store.events_at(workspace, &positions).await? {
            bytes += event.intent.fields().map_or(0, Fields::weight);
            let stored = verdicts.next_if(|stored| stored.position == event.position);
            let (verdict, conflicts) =
                stored.map_or((Verdict::Applied, Vec::new()), |stored| (stored.verdict, stored.conflicts));
            events.push(HistoryEvent { event: EventView::from(event), verdict, conflicts });
        }
    }
    ok(&request, &HistoryResponse { events, cursor: after.to_string(), more })
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
