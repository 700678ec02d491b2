//! Request bodies: read within limits, decompressed within limits, then decoded.
//!
//! This is not actix's `Bytes` extractor with a `PayloadConfig`, because that has
//!
//! - one limit, for the body as sent and as decompressed; here a body of 4 MiB may decompress to 32 MiB;
//! - no timeouts, so a client that sends a byte a minute keeps its connection for hours;
//! - no limit of zstd's window, which a few bytes of input can make the decoder allocate;
//! - no limit of how many bodies are decompressed and decoded at once;
//! - errors that are no `application/problem+json` with a code of ours.

use std::io::{Cursor, Read};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::mime::{self, Mime};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tidelog_core::error::Code;
use tidelog_core::limits::{BODY_BYTES_MAX, INFLATED_BYTES_MAX};
use tidelog_core::wire::{DecodeError, Encoding, has_endless_whitespace};
use tokio::time::timeout;

use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::media_type::{self, ENCODINGS};
use crate::limits::bodies::BodyMemory;
use crate::limits::shares::Owner;

/// Size from which on a body is heavy: it is decoded on the blocking pool, not on the threads that serve requests.
const HEAVY_BODY_BYTES_MIN: usize = 64 * 1024;
/// Bytes that are decompressed between two looks at the limits.
const INFLATE_STEP_BYTES: usize = 64 * 1024;
/// How long a whole body may take: the largest one at the pace of a bad mobile network.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may pause while it sends a body.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads and decodes the body of a request. A body that is large, as sent or decompressed, is decoded on the blocking pool,
/// in turn with others.
pub(crate) async fn read_body<T: Send + 'static>(
    request: &HttpRequest,
    payload: Payload,
    gateway: &Gateway,
    owner: Owner,
    decode: fn(Encoding, &Bytes) -> Result<T, DecodeError>,
) -> Result<T, ApiError> {
    let encoding = encoding_of(request)?;
    let coding = coding_of(request)?;
    let mut memory = gateway.bodies.open(owner);
    let body = timeout(BODY_TIMEOUT, collect(request, payload, &mut memory)).await;
    let body = body.map_err(|_| ApiError::new(Code::RequestTimeout, "sending the body took too long"))??;
    gateway.metrics.received_bytes.inc_by(body.len() as u64);
    let mut inflating = Inflating::begin(encoding, coding, body)?;
    if inflating.step(&mut memory)? && inflating.is_light() {
        return Ok(decode(encoding, &inflating.finish()?)?);
    }
    let _turn = gateway.bodies.heavy_turn(owner).await?;
    let inflate_and_decode = move || -> Result<T, ApiError> {
        while !inflating.step(&mut memory)? {}
        Ok(decode(encoding, &inflating.finish()?)?)
    };
    let joined = tokio::task::spawn_blocking(inflate_and_decode).await;
    joined.map_err(|_| ApiError::new(Code::Internal, "decoding the body failed"))?
}

/// The length of a body that its headers announce, if they do. A body that is too large is refused before it is read.
pub(crate) fn check_announced(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(bytes) if bytes > BODY_BYTES_MAX as u64 => Err(too_large()),
        _ => Ok(length.map(|bytes| bytes as usize)),
    }
}

fn too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge, "the body is larger than this server takes").with_limit(BODY_BYTES_MAX)
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
    if let Some((encoding, _)) = ENCODINGS.iter().find(|(_, names)| names.contains(&header)) {
        return Ok(*encoding);
    }
    let content_type = media_type::parse::<Mime>(header).ok_or_else(refused)?;
    let is_utf8 = content_type.params().all(|(name, value)| name != mime::CHARSET || value == mime::UTF_8);
    let found = ENCODINGS.iter().find(|(_, names)| names.contains(&content_type.essence_str()));
    found.filter(|_| is_utf8).map(|(encoding, _)| *encoding).ok_or_else(refused)
}

async fn collect(request: &HttpRequest, mut payload: Payload, memory: &mut BodyMemory) -> Result<Bytes, ApiError> {
    let announced = check_announced(request.headers())?;
    let mut body = BytesMut::new();
    let paused = |_| ApiError::new(Code::RequestTimeout, "the client stopped sending the body");
    while let Some(chunk) = timeout(CHUNK_TIMEOUT, payload.next()).await.map_err(paused)? {
        let chunk = chunk
            .map_err(|_| ApiError::new(Code::EncodingCorrupt, "the body ended early, or its chunks are malformed"))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        memory.add(chunk.len())?;
        if body.is_empty() {
            // Memory for the announced length, but only once the client has sent the first bytes.
            body.reserve(announced.unwrap_or(0).max(chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A body on its way to be decompressed, step by step.
struct Inflating {
    encoding: Encoding,
    source: Source,
    inflated: Vec<u8>,
    /// The length from which on it is looked at again for white space without end.
    next_look: usize,
}

/// Where the bytes of a body come from.
enum Source {
    /// Sent as they are.
    Plain(Bytes),
    Gzip(flate2::bufread::GzDecoder<Cursor<Bytes>>),
    Zstd(zstd::stream::read::Decoder<'static, Cursor<Bytes>>),
}

impl Inflating {
    fn begin(encoding: Encoding, coding: Coding, body: Bytes) -> Result<Self, ApiError> {
        let source = match coding {
            Coding::Identity => Source::Plain(body),
            Coding::Gzip => Source::Gzip(flate2::bufread::GzDecoder::new(Cursor::new(body))),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(Cursor::new(body)).map_err(|_| corrupt())?;
                // A window larger than the largest result is refused before it is allocated: no honest body needs it.
                decoder.window_log_max(INFLATED_BYTES_MAX.ilog2()).map_err(|_| corrupt())?;
                Source::Zstd(decoder)
            }
        };
        Ok(Self { encoding, source, inflated: Vec::new(), next_look: 2 * INFLATE_STEP_BYTES })
    }

    /// Decompresses the next bytes. Whether that was all.
    fn step(&mut self, memory: &mut BodyMemory) -> Result<bool, ApiError> {
        let reader: &mut dyn Read = match &mut self.source {
            Source::Plain(_) => return Ok(true),
            Source::Gzip(decoder) => decoder,
            Source::Zstd(decoder) => decoder,
        };
        let before = self.inflated.len();
        let left = INFLATED_BYTES_MAX + 1 - before;
        let step = INFLATE_STEP_BYTES.min(left) as u64;
        reader.take(step).read_to_end(&mut self.inflated).map_err(|_| corrupt())?;
        let read = self.inflated.len() - before;
        memory.add(read)?;
        self.check_whitespace()?;
        if self.inflated.len() > INFLATED_BYTES_MAX {
            let detail = "the decompressed body is larger than this server takes";
            return Err(ApiError::new(Code::InflatedTooLarge, detail).with_limit(INFLATED_BYTES_MAX));
        }
        Ok((read as u64) < step)
    }

    /// Refuses white space without end before all of it takes memory. Looks each time that the body has doubled.
    fn check_whitespace(&mut self) -> Result<(), ApiError> {
        if self.encoding != Encoding::Json || self.inflated.len() < self.next_look {
            return Ok(());
        }
        self.next_look = 2 * self.inflated.len();
        match has_endless_whitespace(&self.inflated) {
            true => Err(ApiError::new(Code::BodyTooLarge, "the body holds more white space than this server takes")),
            false => Ok(()),
        }
    }

    /// Whether what is decompressed so far is little enough to be decoded where requests are served.
    fn is_light(&self) -> bool {
        let bytes = match &self.source {
            Source::Plain(body) => body.len(),
            Source::Gzip(_) | Source::Zstd(_) => self.inflated.len(),
        };
        bytes < HEAVY_BODY_BYTES_MIN
    }

    /// The whole body. Bytes after a gzip member are refused, since a body could be smuggled in them past a proxy that
    /// inspects the first member alone.
    fn finish(self) -> Result<Bytes, ApiError> {
        match self.source {
            Source::Plain(body) => Ok(body),
            Source::Gzip(decoder) => {
                let rest = decoder.into_inner();
                let is_whole = rest.position() == rest.get_ref().len() as u64;
                if is_whole { Ok(self.inflated.into()) } else { Err(corrupt()) }
            }
            Source::Zstd(_) => Ok(self.inflated.into()),
        }
    }
}

fn corrupt() -> ApiError {
    ApiError::new(Code::EncodingCorrupt, "the compressed body cannot be decompressed")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use tidelog_core::ids::WorkspaceId;
    use uuid::Uuid;

    use super::*;
    use crate::limits::bodies::BodyLimits;

    #[test]
    fn white_space_without_end_is_refused_while_it_is_decompressed() {
        let owner = Owner { workspace: WorkspaceId(Uuid::nil()), caller: Uuid::nil() };
        let mut memory = BodyLimits::new(1 << 30).open(owner);
        let mut spaces = vec![b' '; 33_000_000];
        spaces.extend_from_slice(b"{\"ops\":[]}");
        let body = zstd::encode_all(&spaces[..], 1).unwrap();
        let mut inflating = Inflating::begin(Encoding::Json, Coding::Zstd, body.into()).unwrap();
        let refused = loop {
            match inflating.step(&mut memory) {
                Ok(is_whole) => assert!(!is_whole, "all of it is read"),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code, Code::BodyTooLarge);
        assert_eq!(inflating.inflated.len(), 2 * INFLATE_STEP_BYTES);
    }

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
