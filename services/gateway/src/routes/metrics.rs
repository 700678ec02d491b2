//! `GET /metrics`

use actix_web::HttpResponse;
use actix_web::web::Data;
use prometheus::{Encoder, TextEncoder};
use tidelog_core::error::Code;
use tidelog_core::time::UnixMs;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::presence::ACTIVE_AGE_MS_MAX;

/// Reads all metrics, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200)))]
pub(crate) async fn metrics(gateway: Data<Gateway>) -> Result<HttpResponse, ApiError> {
    refresh(&gateway).await;
    let mut body = Vec::new();
    let written = TextEncoder::new().encode(&gateway.registry.gather(), &mut body);
    written.map_err(|_| ApiError::new(Code::Internal, "the metrics could not be written"))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(body))
}

/// Sets the gauges that have to be read from the pool and the database. A gauge whose query fails keeps its last value.
async fn refresh(gateway: &Gateway) {
    let metrics = &gateway.metrics;
    let pool = gateway.store.pool_status();
    metrics.pool_in_use.set(pool.in_use as i64);
    metrics.pool_waiting.set(pool.waiting as i64);
    let now = gateway.runtime.clock.now();
    if let Ok(active) = gateway.store.active_devices(UnixMs(now.0 - ACTIVE_AGE_MS_MAX)).await {
        metrics.active_devices.set(active);
    }
    if let Ok(lagging) = gateway.store.lagging().await {
        let events: i64 = lagging.iter().map(|lag| lag.head.0 - lag.projected.0).sum();
        let oldest_ms = lagging.iter().map(|lag| now.0 - lag.waiting_since.0).max().unwrap_or(0);
        metrics.projector_lag_events.set(events);
        metrics.projector_lag_seconds.set(oldest_ms.max(0) as f64 / 1_000.0);
        metrics.projector_lag_workspaces.set(lagging.len() as i64);
    }
}
