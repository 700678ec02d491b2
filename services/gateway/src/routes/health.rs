//! `GET /health/live` and `/health/ready`

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Reports whether the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200)))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "live"}))
}

/// Reports whether pushes and pulls work.
///
/// They do if the database responds, a catalog is in force and the append workers run.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200), (status = 503)))]
pub(crate) async fn ready(gateway: Data<Gateway>) -> Result<HttpResponse, ApiError> {
    gateway.store.ping().await?;
    gateway.catalogs.current().await?;
    if !gateway.appender.is_alive() {
        return Err(ApiError::unavailable("an append worker has ended: restart the server"));
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({"status": "ready"})))
}
