//! NDJSON answers: a JSON line an item, and a last line that says how far they go. A stream that ends without its last
//! line was cut.

use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use futures_util::{Stream, StreamExt};
use prometheus::IntGauge;
use serde::Serialize;

use tidelog_core::error::Code;

use crate::http::error::ApiError;
use crate::metrics::GatewayMetrics;

/// One line.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Line<T, E> {
    /// An item.
    Item(T),
    /// How far the items go.
    End(E),
}

/// Lines as bytes.
pub(crate) fn encode<T: Serialize, E: Serialize>(lines: impl Iterator<Item = Line<T, E>>) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, &line).map_err(|error| {
            tracing::error!(%error, "a line could not be written");
            ApiError::new(Code::Internal, "a line could not be written")
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}

/// The answer that streams them. An error on the way cuts the stream, since its status is out already.
pub(crate) fn respond(lines: impl Stream<Item = Result<Bytes, ApiError>> + 'static) -> HttpResponse {
    let lines = lines.map(|bytes| bytes.map_err(Error::from));
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines)
}

/// Counts a stream while it lives.
pub(crate) struct OpenStream(IntGauge);

impl OpenStream {
    pub(crate) fn new(metrics: &GatewayMetrics) -> Self {
        let gauge = metrics.open_streams.clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
