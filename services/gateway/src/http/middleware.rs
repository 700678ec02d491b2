//! Around every request: its id, its span, its line in the log, its figures.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest};
use prometheus::IntCounter;
use tokio::time::Instant;
use tracing::Instrument;

use crate::gateway::Gateway;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The id of a request: the caller's if it gave a plain one, else a random one. It goes with the push into the append
/// and with the hint to the projector, and stands in the logs of all three.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// The id that [`observe`] gave this request.
    pub(crate) fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// Gives the request its id and span, logs and measures it.
pub(crate) async fn observe<B: MessageBody>(
    gateway: Data<Gateway>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Counted<B>>, Error> {
    let started = Instant::now();
    let id = given_id(&request).unwrap_or_else(|| gateway.runtime.random.uuid().simple().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = method_label(request.method().as_str());
    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.call(request).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if response.status().as_u16() >= 400 && method != "GET" {
        // What is left of a refused body is not worth reading.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    let labels = [route.as_str(), method, &status.to_string()];
    gateway.metrics.request_seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    span.in_scope(|| {
        let duration_ms = elapsed.as_millis() as u64;
        // What went well is for whoever looks for it: at full load a line each would cost more than the request.
        if status < 400 {
            tracing::debug!(http.method = method, http.route = route, http.status = status, duration_ms, "answered");
        } else {
            tracing::info!(http.method = method, http.route = route, http.status = status, duration_ms, "refused");
        }
    });
    let sent = gateway.metrics.sent_bytes.clone();
    Ok(response.map_body(|_, body| Counted { body: Box::pin(body), sent }))
}

/// A label has few values, whatever callers send.
fn method_label(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        _ => "other",
    }
}

fn given_id(request: &ServiceRequest) -> Option<String> {
    let given = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (is_plain && (1..=REQUEST_ID_BYTES_MAX).contains(&given.len())).then(|| given.to_owned())
}

/// A body that counts its bytes as they go.
pub(crate) struct Counted<B> {
    body: Pin<Box<B>>,
    sent: IntCounter,
}

impl<B: MessageBody> MessageBody for Counted<B> {
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
