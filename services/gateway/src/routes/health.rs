//! `GET /health/live` and `/health/ready`

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::monitoring::readiness::Readiness;

/// That the process responds.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Liveness {
    /// `live`.
    status: &'static str,
}

/// Reports whether the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Liveness)))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Liveness { status: "live" })
}

/// Reports whether pushes and pulls work.
///
/// The response comes within a second and names each check. `database`: it responds. `appends`: the last push was stored.
/// `catalog`: one is in force. `projector`: how far it lags, which fails no request. `disk`: the database has room to write.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn ready(gateway: Data<Gateway>) -> HttpResponse {
    let readiness = gateway.into_inner().readiness().await;
    if readiness.status == "ready" {
        HttpResponse::Ok().json(readiness)
    } else {
        HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "1")).json(readiness)
    }
}
