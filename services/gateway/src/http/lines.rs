//! NDJSON responses: a line of JSON for each item, and a last line that says how far the items go. A stream that ends
//! without that last line was cut off.

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::Stream;
use prometheus::IntGauge;
use serde::Serialize;

use crate::http::error::{ApiError, unwritable};
use crate::http::response::respond_streaming;
use crate::monitoring::metrics::GatewayMetrics;

/// One line of an NDJSON response.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Line<T, E> {
    /// An item.
    Item(T),
    /// The last line: how far the items go.
    End(E),
}

/// Serializes lines.
pub(crate) fn encode<T: Serialize, E: Serialize>(lines: impl Iterator<Item = Line<T, E>>) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, &line).map_err(|error| unwritable(&error))?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}

/// The response that streams lines.
pub(crate) fn respond(lines: impl Stream<Item = Result<Bytes, ApiError>> + 'static) -> HttpResponse {
    respond_streaming("application/x-ndjson", lines)
}

/// Counts a stream in the metrics for as long as it lives.
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
