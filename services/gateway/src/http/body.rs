//! Request bodies: read within limits, decompressed within limits, then decoded.
//!
//! This is not actix's `Bytes` extractor with a `PayloadConfig`, because that has
//!
//! - one limit, for the body as sent and as decompressed; here a body of 4 MiB may decompress to 32 MiB;
//! - no timeouts, so a client that sends a byte a minute keeps its connection for hours;
//! - no limit of zstd's window, which a few bytes of input can make the decoder allocate;
//! - no limit of how many bodies are decompressed and decoded at once;
//! - errors that are no `application/problem+json` with a code of ours.

use std::io::Read;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::mime::{self, Mime};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tidelog_core::error::Code;
use tidelog_core::limits::{BODY_BYTES_MAX, INFLATED_BYTES_MAX};
use tidelog_core::wire::{DecodeError, Encoding};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::error::ApiError;
use crate::http::media_type::{self, ENCODINGS};
use crate::metrics::GatewayMetrics;

/// Size from which on a body is heavy: it is decoded on the blocking pool, not on the threads that serve requests.
const HEAVY_BODY_BYTES_MIN: usize = 64 * 1024;
/// Heavy bodies that are decoded at once. Each takes memory many times its size.
const HEAVY_BODIES_MAX: usize = 4;
/// How long a whole body may take: the largest one at the pace of a bad mobile network.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may pause while it sends a body.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);

static HEAVY_BODIES: Semaphore = Semaphore::const_new(HEAVY_BODIES_MAX);

/// Reads and decodes the body of a request. Bodies that are compressed or large are decoded on the blocking pool.
pub(crate) async fn read_body<T: Send + 'static>(
    request: &HttpRequest,
    payload: Payload,
    metrics: &GatewayMetrics,
    decode: fn(Encoding, &Bytes) -> Result<T, DecodeError>,
) -> Result<T, ApiError> {
    let encoding = encoding_of(request)?;
    let coding = coding_of(request)?;
    let body = timeout(BODY_TIMEOUT, collect(request, payload)).await;
    let body = body.map_err(|_| ApiError::new(Code::RequestTimeout, "sending the body took too long"))??;
    metrics.received_bytes.inc_by(body.len() as u64);
    let inflate_and_decode = move || -> Result<T, ApiError> {
        let inflated = match coding {
            Coding::Identity => body,
            Coding::Gzip => inflate_gzip(&body)?.into(),
            Coding::Zstd => inflate(&mut zstd_reader(&body)?)?.into(),
        };
        Ok(decode(encoding, &inflated)?)
    };
    if coding == Coding::Identity && is_light(request) {
        return inflate_and_decode();
    }
    let _permit = HEAVY_BODIES.acquire().await.map_err(|_| ApiError::unavailable("the server is stopping"))?;
    let joined = tokio::task::spawn_blocking(inflate_and_decode).await;
    joined.map_err(|_| ApiError::new(Code::Internal, "decoding the body failed"))?
}

fn is_light(request: &HttpRequest) -> bool {
    announced_bytes(request).is_some_and(|bytes| bytes < HEAVY_BODY_BYTES_MIN as u64)
}

/// The `Content-Length` of a request, if it has one.
fn announced_bytes(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A `Content-Encoding` that bodies may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

fn coding_of(request: &HttpRequest) -> Result<Coding, ApiError> {
    let mut headers = request.headers().get_all(header::CONTENT_ENCODING);
    let unsupported = || ApiError::new(Code::EncodingUnsupported, "Content-Encoding must be gzip, zstd or absent");
    let name = headers.next().map(|coding| coding.to_str().map(str::to_ascii_lowercase));
    let coding = match name.as_ref().map(|name| name.as_deref()) {
        None | Some(Ok("identity")) => Coding::Identity,
        Some(Ok("gzip" | "x-gzip")) => Coding::Gzip,
        Some(Ok("zstd")) => Coding::Zstd,
        Some(_) => return Err(unsupported()),
    };
    if headers.next().is_some() { Err(unsupported()) } else { Ok(coding) }
}

fn encoding_of(request: &HttpRequest) -> Result<Encoding, ApiError> {
    let refused = || ApiError::new(Code::MediaType, "Content-Type must be application/json or application/msgpack");
    let header = request.headers().get(header::CONTENT_TYPE).ok_or_else(refused)?.to_str().map_err(|_| refused())?;
    let content_type = media_type::parse::<Mime>(header).ok_or_else(refused)?;
    let is_utf8 = content_type.params().all(|(name, value)| name != mime::CHARSET || value == mime::UTF_8);
    let found = ENCODINGS.iter().find(|(_, names)| names.contains(&content_type.essence_str()));
    found.filter(|_| is_utf8).map(|(encoding, _)| *encoding).ok_or_else(refused)
}

async fn collect(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, ApiError> {
    let too_large =
        || ApiError::new(Code::BodyTooLarge, "the body is larger than this server takes").with_limit(BODY_BYTES_MAX);
    let announced = announced_bytes(request);
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let paused = |_| ApiError::new(Code::RequestTimeout, "the client stopped sending the body");
    while let Some(chunk) = timeout(CHUNK_TIMEOUT, payload.next()).await.map_err(paused)? {
        let chunk = chunk.map_err(|_| ApiError::new(Code::EncodingCorrupt, "the body ended early"))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if body.is_empty() {
            // Memory for the announced length, but only once the client has sent the first bytes.
            body.reserve(announced.map_or(0, |bytes| bytes as usize).max(chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A zstd decoder that refuses a window larger than the largest result, before it allocates the window: no honest body
/// needs it.
fn zstd_reader(body: &[u8]) -> Result<zstd::stream::read::Decoder<'_, &[u8]>, ApiError> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| corrupt())?;
    reader.window_log_max(INFLATED_BYTES_MAX.ilog2()).map_err(|_| corrupt())?;
    Ok(reader)
}

fn corrupt() -> ApiError {
    ApiError::new(Code::EncodingCorrupt, "the compressed body cannot be decompressed")
}

/// Decompresses one gzip member. Bytes after it are refused, since a body could be smuggled in them past a proxy that
/// inspects the first member alone.
fn inflate_gzip(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut reader = flate2::bufread::GzDecoder::new(body);
    let inflated = inflate(&mut reader)?;
    if reader.into_inner().is_empty() { Ok(inflated) } else { Err(corrupt()) }
}

fn inflate(reader: &mut impl Read) -> Result<Vec<u8>, ApiError> {
    let mut inflated = Vec::new();
    reader.take(INFLATED_BYTES_MAX as u64 + 1).read_to_end(&mut inflated).map_err(|_| corrupt())?;
    if inflated.len() > INFLATED_BYTES_MAX {
        let detail = "the decompressed body is larger than this server takes";
        return Err(ApiError::new(Code::InflatedTooLarge, detail).with_limit(INFLATED_BYTES_MAX));
    }
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_content_type_names_the_encoding() {
        let rows = [
            ("application/json", Some(Encoding::Json)),
            ("Application/JSON; Charset=UTF-8", Some(Encoding::Json)),
            ("application/json;charset=\"utf-8\"", Some(Encoding::Json)),
            ("application/json ; charset=utf-8;", Some(Encoding::Json)),
            ("application/msgpack; version=5", Some(Encoding::MessagePack)),
            ("application/x-msgpack", Some(Encoding::MessagePack)),
            ("application/vnd.msgpack", Some(Encoding::MessagePack)),
            ("application/json; charset=latin1", None),
            ("application/json; charset=utf-8; charset=latin1", None),
            ("application/json, application/json", None),
            ("application/x-ndjson", None),
            ("application/*", None),
            ("text/json", None),
            ("json", None),
            ("", None),
        ];
        for (given, encoding) in rows {
            let request = TestRequest::default().insert_header(("content-type", given)).to_http_request();
            assert_eq!(encoding_of(&request).ok(), encoding, "{given}");
        }
        assert!(encoding_of(&TestRequest::default().to_http_request()).is_err());
    }
}
