//! What happens around every request: an id, a tracing span, a log line, metrics.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest};
use prometheus::IntCounter;
use tokio::time::Instant;
use tracing::Instrument;

use crate::gateway::Gateway;
use crate::http::connection::{Connection, OwedResponse};
use crate::http::negotiate::vary::set_vary;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The id of a request: the caller's `X-Request-Id` if it is plain, otherwise a random one. A push passes it on to the
/// append and, with the wake-up hint, to the projector, so that the log lines of all three have it.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// The id that [`observe`] gave to a request.
    pub(crate) fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// The middleware: gives the request its id and span, then logs and measures it.
pub(crate) async fn observe<B: MessageBody>(
    gateway: Data<Gateway>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<CountedBody<B>>, Error> {
    let started = Instant::now();
    let id = requested_id(&request).unwrap_or_else(|| gateway.runtime.random.uuid().simple().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = method_label(request.method().as_str());
    let span = tracing::info_span!("request", request_id = %id);
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    let is_last = request.head().connection_type() != ConnectionType::KeepAlive;
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let owed = connection.clone().filter(|_| is_chunked).map(|on| OwedResponse::new(on, gateway.clone()));
    let mut response = next.call(request).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    set_vary(response.headers_mut());
    let is_crowded = gateway.metrics.open_connections.get() > gateway.kept_connections_max as i64;
    if is_last || is_crowded || (response.status().as_u16() >= 400 && method != "GET") {
        // Reading the rest of a refused body is not worth keeping the connection. One that was to be upgraded is closed too,
        // since nothing says where the body of that request ends.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        if let Some(connection) = connection {
            connection.end_with_this_response().await;
        }
    }
    if let Some(owed) = owed {
        owed.given();
    }
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    let labels = [route.as_str(), method, &status.to_string()];
    gateway.metrics.request_seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    span.in_scope(|| {
        let duration_ms = elapsed.as_millis() as u64;
        // Successful requests are logged at debug level: at full load a line for each would cost more than the request.
        if status < 400 {
            tracing::debug!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                "a request succeeded"
            );
        } else {
            tracing::info!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                "a request was refused"
            );
        }
    });
    let sent = gateway.metrics.sent_bytes.clone();
    Ok(response.map_body(|_, body| CountedBody { body: Box::pin(body), sent }))
}

/// The method as a label value. Unknown methods share one, so that callers cannot create metrics without bound.
fn method_label(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "HEAD" => "HEAD",
        _ => "other",
    }
}

/// The caller's `X-Request-Id`, if it is short and plain enough to be logged.
fn requested_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (is_plain && (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())).then(|| id.to_owned())
}

/// A response body that counts its bytes as they are sent.
pub(crate) struct CountedBody<B> {
    body: Pin<Box<B>>,
    sent: IntCounter,
}

impl<B: MessageBody> MessageBody for CountedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let polled = self.body.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.sent.inc_by(bytes.len() as u64);
        }
        polled
    }
}
