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
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use tidelog_core::error::Code;

use crate::gateway::Gateway;
use crate::http::connection::on_connect;
use crate::http::error::ApiError;
use crate::http::middleware::observe;
use crate::http::resource::resource;

pub use openapi::openapi_json;

/// How long a client may take to send the headers of a request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection stays open. It does not have to outlast a long poll: a connection with a waiting request is
/// not idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long requests may go on once the server has to stop. Requests that wait are answered at once; the longest of the
/// others is a push that waits for the database.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP server for apps and analysts, on a bound socket.
pub fn main_server(gateway: Arc<Gateway>, listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    serve(gateway, listener, workers, main_routes)
}

/// The HTTP server for operators, on a bound socket.
pub fn admin_server(gateway: Arc<Gateway>, listener: TcpListener) -> std::io::Result<Server> {
    serve(gateway, listener, 1, admin_routes)
}

fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    workers: usize,
    routes: fn(&mut ServiceConfig),
) -> std::io::Result<Server> {
    let gateway = Data::from(gateway);
    let open = gateway.metrics.open_connections.clone();
    let app = move || {
        App::new()
            .app_data(gateway.clone())
            .configure(routes)
            .default_service(web::route().to(not_found))
            .wrap(Compress::default())
            .wrap(from_fn(observe))
    };
    let server = HttpServer::new(app)
        .on_connect(move |connection, beside| on_connect(connection, beside, &open))
        .workers(workers)
        .client_request_timeout(HEADERS_TIMEOUT)
        .keep_alive(IDLE_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
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
    health_routes(config);
}

fn admin_routes(config: &mut ServiceConfig) {
    let admin = web::scope("/admin/v1")
        .service(resource("/workspaces").get(admin::workspaces).post(admin::create_workspace).build())
        .service(resource("/workspaces/{workspace}/devices/{device}").patch(admin::change_device).build());
    config.service(admin);
    health_routes(config);
}

fn health_routes(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").get(health::live).build())
        .service(resource("/health/ready").get(health::ready).build())
        .service(resource("/metrics").get(metrics::metrics).build());
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::NotFound, "there is no such route"))
}
