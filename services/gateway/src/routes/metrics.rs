//! `GET /metrics`

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use prometheus::{Encoder, TextEncoder};
use tidelog_core::error::Code;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::monitoring::database_report::lag_seconds;

/// Reads all metrics, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8")))]
pub(crate) async fn metrics(gateway: Data<Gateway>) -> Result<HttpResponse, ApiError> {
    let gateway = gateway.into_inner();
    refresh(&gateway).await;
    let mut body = Vec::new();
    let written = TextEncoder::new().encode(&gateway.registry.gather(), &mut body);
    written.map_err(|_| ApiError::new(Code::Internal, "the metrics could not be written"))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(body))
}

/// Sets the gauges that have to be read from the pool and the database. If the database does not
/// respond within a second, they keep their last values.
async fn refresh(gateway: &Arc<Gateway>) {
    let metrics = &gateway.metrics;
    metrics.body_memory_bytes.set(gateway.bodies.bytes_taken() as i64);
    metrics.shared_page_bytes.set(i64::try_from(gateway.shared_pages.bytes()).unwrap_or(i64::MAX));
    let pool = gateway.store.pool_status();
    metrics.pool_in_use.set(pool.in_use as i64);
    metrics.pool_waiting.set(pool.waiting as i64);
    let Some(report) = gateway.database_report().await else { return };
    if let Some(active) = report.active_devices {
        metrics.active_devices.set(active);
    }
    if let Ok(lagging) = &report.lagging {
        let events: i64 = lagging.iter().map(|lag| lag.head.0 - lag.projected.0).sum();
        metrics.projector_lag_events.set(events);
        metrics.projector_lag_seconds.set(lag_seconds(lagging, gateway.runtime.clock.now()));
        metrics.projector_lag_workspaces.set(lagging.len() as i64);
    }
}
