//! `GET /sync/ops`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::OpsResponse;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

/// Lists what became of the caller's own operations: those that are folded and did not simply apply, rejected ones
/// included.
///
/// A page may be empty although more pages follow; `more` says whether they do. The next page is the one after
/// `folded_to`.
#[utoipa::path(get, path = "/api/v1/sync/ops", tag = "sync",
    params(
        ("after" = Option<i64>, Query, minimum = 0, description = "The `folded_to` of the previous page, or of an earlier read: only operations with a higher seq. 0 by default"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10000, description = "Maximum number of operations, 1 to 10,000; 1,000 by default"),
        ("records" = Option<bool>, Query, description = "Whether to add the record of each operation, as it is now"),
    ),
    responses((status = 200, body = OpsResponse), (status = 422)))]
pub(crate) async fn ops(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["after", "limit", "records"])?;
    let after = params.number("after", (0, i64::MAX))?.unwrap_or(0);
    let (limit, with_records) = (params.page_limit()?, params.flag("records")?);
    encoding_of(&request)?;
    let device = gateway.device(&request).await?;
    ok(&request, &gateway.op_outcomes(&device, after, limit, with_records).await?)
}
