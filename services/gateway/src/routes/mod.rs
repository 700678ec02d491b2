//! The HTTP servers and their routes. Each route has a file, which parses the request, calls the gateway and writes the
//! response.

mod admin;
mod catalog;
mod conflicts;
mod devices;
mod health;
mod metrics;
mod openapi;
mod records;
mod sync;

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::Server;
use actix_web::web::{self, ServiceConfig};
use tidelog_core::error::Code;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::server::cors::CorsOrigin;
use crate::http::server::serve;

pub use openapi::openapi_json;

/// The HTTP server for apps and analysts, on a bound socket. Web pages of `cors_origins` may call it.
pub fn main_server(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    workers: usize,
    cors_origins: Vec<CorsOrigin>,
) -> std::io::Result<Server> {
    serve(gateway, listener, workers, main_routes, cors_origins)
}

/// The HTTP server for operators, on a bound socket. No web page may call it.
pub fn admin_server(gateway: Arc<Gateway>, listener: TcpListener) -> std::io::Result<Server> {
    serve(gateway, listener, 1, admin_routes, Vec::new())
}

fn main_routes(config: &mut ServiceConfig) {
    let api = web::scope("/api/v1")
        .service(resource("/devices").get(devices::list::devices).post(devices::register::register).build())
        .service(resource("/devices/self/token").post(devices::token::renew).build())
        .service(
            resource("/devices/{device}")
                .get(devices::list::device)
                .patch(devices::change::change)
                .delete(devices::revoke::revoke)
                .build(),
        )
        .service(resource("/sync").post(sync::push_and_pull::sync).build())
        .service(resource("/sync/push").post(sync::push::push).build())
        .service(resource("/sync/pull").get(sync::pull::pull).build())
        .service(resource("/sync/ops").get(sync::ops::ops).build())
        .service(resource("/sync/ops/{seq}").get(sync::op::op).build())
        .service(resource("/sync/records").get(sync::records::records).build())
        .service(resource("/sync/status").get(sync::status::status).build())
        .service(resource("/records/{table}/{record}").get(records::one::record).build())
        .service(resource("/records/{table}/{record}/history").get(records::history::history).build())
        .service(resource("/conflicts").get(conflicts::list::conflicts).build())
        .service(resource("/conflicts/{conflict}").get(conflicts::one::conflict).build())
        .service(resource("/conflicts/{conflict}/resolve").post(conflicts::resolve::resolve).build())
        .service(resource("/catalog").get(catalog::catalog).build());
    config.service(api);
    common_routes(config);
}

fn admin_routes(config: &mut ServiceConfig) {
    let admin = web::scope("/admin/v1")
        .service(resource("/workspaces").get(admin::workspaces).post(admin::create_workspace).build())
        .service(resource("/workspaces/{workspace}/devices/{device}").patch(admin::change_device).build());
    config.service(admin);
    common_routes(config);
}

/// The routes of every listener.
fn common_routes(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").get(health::live).build())
        .service(resource("/health/ready").get(health::ready).build())
        .service(resource("/metrics").get(metrics::metrics).build())
        .default_service(web::route().to(not_found));
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::NotFound, "there is no such route"))
}
