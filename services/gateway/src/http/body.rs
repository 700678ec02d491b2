//! Reads request bodies: bounded on the wire and when decompressed, then decoded.

use std::io::Read;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tidelog_core::error::Code;
use tidelog_core::limits::{BODY_BYTES_MAX, INFLATED_BYTES_MAX};
use tidelog_core::wire::{DecodeError, Encoding};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::error::ApiError;
use crate::metrics::GatewayMetrics;

/// Bodies from this size on are decompressed and decoded away from the threads that serve requests.
const HEAVY_BYTES: usize = 64 * 1024;

/// How long a body may take: the limit of size at the pace of a bad mobile network.
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may pause.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// Heavy bodies that are read at once: each takes memory many times its size.
static HEAVY: Semaphore = Semaphore::const_new(4);

/// Reads and decodes the body of a request.
pub(crate) async fn read_body<T: Send + 'static>(
    request: &HttpRequest,
    payload: Payload,
    metrics: &GatewayMetrics,
    decode: fn(Encoding, &Bytes) -> Result<T, DecodeError>,
) -> Result<T, ApiError> {
    let encoding = encoding_of(request)?;
    let coding = coding_of(request)?;
    let body = timeout(BODY_WITHIN, collect(request, payload)).await;
    let body = body.map_err(|_| ApiError::new(Code::RequestTimeout, "the body did not come in time"))??;
    metrics.received_bytes.inc_by(body.len() as u64);
    let read = move || -> Result<T, ApiError> {
        let inflated = match coding {
            Coding::Identity => body,
            Coding::Gzip => inflate_gzip(&body)?.into(),
            Coding::Zstd => inflate(&mut zstd_reader(&body)?)?.into(),
        };
        Ok(decode(encoding, &inflated)?)
    };
    if coding == Coding::Identity && body_is_light(request) {
        return read();
    }
    let _turn = HEAVY.acquire().await.map_err(|_| ApiError::unavailable("the server is stopping"))?;
    let joined = tokio::task::spawn_blocking(read).await;
    joined.map_err(|_| ApiError::new(Code::Internal, "reading the body failed"))?
}

fn body_is_light(request: &HttpRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length < HEAVY_BYTES)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

fn coding_of(request: &HttpRequest) -> Result<Coding, ApiError> {
    let mut given = request.headers().get_all(header::CONTENT_ENCODING);
    let unsupported = || ApiError::new(Code::EncodingUnsupported, "Content-Encoding is gzip, zstd or absent");
    let name = given.next().map(|coding| coding.to_str().map(str::to_ascii_lowercase));
    let coding = match name.as_ref().map(|name| name.as_deref()) {
        None | Some(Ok("identity")) => Coding::Identity,
        Some(Ok("gzip" | "x-gzip")) => Coding::Gzip,
        Some(Ok("zstd")) => Coding::Zstd,
        Some(_) => return Err(unsupported()),
    };
    if given.next().is_some() { Err(unsupported()) } else { Ok(coding) }
}

fn encoding_of(request: &HttpRequest) -> Result<Encoding, ApiError> {
    let refused = || ApiError::new(Code::MediaType, "Content-Type is application/json or application/msgpack");
    let given = request.headers().get(header::CONTENT_TYPE).ok_or_else(refused)?.to_str().map_err(|_| refused())?;
    let mut parts = given.split(';').map(|part| part.trim().to_ascii_lowercase());
    let encoding = match parts.next().as_deref() {
        Some("application/json") => Encoding::Json,
        Some("application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack") => Encoding::MessagePack,
        _ => return Err(refused()),
    };
    let is_utf8 =
        |part: &String| part.strip_prefix("charset=").is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    if parts.all(|part| is_utf8(&part)) { Ok(encoding) } else { Err(refused()) }
}

async fn collect(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, ApiError> {
    let too_large =
        || ApiError::new(Code::BodyTooLarge, "the body is larger than this server takes").with_limit(BODY_BYTES_MAX);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let late = |_| ApiError::new(Code::RequestTimeout, "the body stopped coming");
    while let Some(chunk) = timeout(CHUNK_WITHIN, payload.next()).await.map_err(late)? {
        let chunk = chunk.map_err(|_| ApiError::new(Code::EncodingCorrupt, "the body ended early"))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if body.is_empty() {
            // Room for what was announced, once something of it is there.
            body.reserve(announced.map_or(0, |length| length as usize).max(chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A window larger than what may come out cannot be of use, only of harm: it is refused before it is allocated.
fn zstd_reader(body: &[u8]) -> Result<zstd::stream::read::Decoder<'_, &[u8]>, ApiError> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| corrupt())?;
    reader.window_log_max(INFLATED_BYTES_MAX.ilog2()).map_err(|_| corrupt())?;
    Ok(reader)
}

fn corrupt() -> ApiError {
    ApiError::new(Code::EncodingCorrupt, "the compressed body cannot be decompressed")
}

/// One member and nothing after it: what follows one is how a body is smuggled past whoever looked at the first.
fn inflate_gzip(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut reader = flate2::bufread::GzDecoder::new(body);
    let inflated = inflate(&mut reader)?;
    if reader.into_inner().is_empty() { Ok(inflated) } else { Err(corrupt()) }
}

fn inflate(reader: &mut impl Read) -> Result<Vec<u8>, ApiError> {
    let mut inflated = Vec::new();
    reader.take(INFLATED_BYTES_MAX as u64 + 1).read_to_end(&mut inflated).map_err(|_| corrupt())?;
    if inflated.len() > INFLATED_BYTES_MAX {
        let detail = "the body decompresses to more than this server takes";
        return Err(ApiError::new(Code::InflatedTooLarge, detail).with_limit(INFLATED_BYTES_MAX));
    }
    Ok(inflated)
}
