//! An HTTP server on one socket: what surrounds the routes, and what each connection gets.
//!
//! This builds on actix's `HttpService` and not on its `HttpServer`, which has no way to answer `Expect: 100-continue`
//! before the body, nor to end one connection.

pub(crate) mod cors;

use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, fn_service, map_config};
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, Error};

use crate::gateway::Gateway;
use crate::http::body::check_announced;
use crate::http::connection::Connection;
use crate::http::middleware::observe;
use crate::http::server::cors::{CorsOrigin, cors};

/// How long a client may take to send the headers of a request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection stays open. It does not have to outlast a long poll: a connection with a waiting request is
/// not idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long the rest of a refused body is read and dropped, so that the client gets the response.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long requests may go on once the server has to stop. Requests that wait are answered at once; the longest of the
/// others is a push that waits for the database.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves routes on a bound socket. Web pages of `cors_origins` may call them.
pub(crate) fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    workers: usize,
    routes: fn(&mut ServiceConfig),
    cors_origins: Vec<CorsOrigin>,
) -> std::io::Result<Server> {
    let gateway = Data::from(gateway);
    let has_cors = !cors_origins.is_empty();
    let cors_origins = Data::new(cors_origins);
    let service = move || {
        let app = App::new()
            .app_data(gateway.clone())
            .app_data(cors_origins.clone())
            .configure(routes)
            .wrap(Compress::default())
            .wrap(Condition::new(has_cors, from_fn(cors)))
            .wrap(from_fn(observe));
        // actix opens a connection in two steps, one right after the other: `on_connect_ext`, then
        // `graceful_shutdown_signal`, which ends connections one by one too.
        let opened = Rc::new(Cell::new(None));
        let (opening, open) = (Rc::clone(&opened), gateway.metrics.open_connections.clone());
        let stopped = gateway.clone();
        HttpService::build()
            .keep_alive(IDLE_TIMEOUT)
            .client_request_timeout(HEADERS_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(move |stream: &TcpStream, beside: &mut Extensions| {
                let connection = Connection::opened(stream, &open);
                beside.insert(Rc::clone(&connection));
                opening.set(Some(connection));
            })
            .graceful_shutdown_signal(move || last_response(opened.take(), stopped.stopping()))
            .expect(fn_service(before_continue))
            .finish(map_config(app.into_factory(), |()| AppConfig::default()))
            .tcp()
    };
    let server = Server::build()
        .workers(workers)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
        .disable_signals()
        .listen("tidelog", listener, service)?;
    Ok(server.run())
}

/// Resolves when the response under way is a connection's last one.
async fn last_response(connection: Option<Rc<Connection>>, stopping: impl Future<Output = ()>) {
    match connection {
        Some(connection) => connection.ended(stopping).await,
        None => stopping.await,
    }
}

/// Decides whether a client that asks by `Expect: 100-continue` may send its body.
async fn before_continue(request: Request) -> Result<Request, Error> {
    check_announced(&request.head().headers)?;
    Ok(request)
}
