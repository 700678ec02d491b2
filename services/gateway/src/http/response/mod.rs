//! Responses: one body in the negotiated encoding, or a stream.

pub(crate) mod pieces;

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{Error, HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tidelog_core::wire::{Encoding, encode};

use crate::http::error::{ApiError, unwritable};
use crate::http::negotiate::encoding_of;
use crate::http::response::pieces::Pieces;

/// A response of status 200 in the encoding that the caller prefers.
pub(crate) fn ok<T: Serialize>(request: &HttpRequest, body: &T) -> Result<HttpResponse, ApiError> {
    respond(StatusCode::OK, encoding_of(request)?, body)
}

/// A response in an encoding.
pub(crate) fn respond<T: Serialize>(
    status: StatusCode,
    encoding: Encoding,
    body: &T,
) -> Result<HttpResponse, ApiError> {
    let bytes = encode(encoding, body).map_err(|error| unwritable(&error))?;
    Ok(with_body(status, encoding, bytes))
}

/// A response of status 200 whose body is encoded already, in parts.
pub(crate) fn respond_encoded(encoding: Encoding, parts: Vec<Bytes>) -> HttpResponse {
    with_body(StatusCode::OK, encoding, Pieces::of(parts))
}

/// A response of status 200 whose body is encoded and compressed with zstd already, in parts.
pub(crate) fn respond_compressed(encoding: Encoding, parts: Vec<Bytes>) -> HttpResponse {
    let mut response = respond_encoded(encoding, parts);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    response
}

/// A response of status 200 that streams its body. An error cuts the stream off, since the status is already sent.
pub(crate) fn respond_streaming(
    content_type: &str,
    bytes: impl Stream<Item = Result<Bytes, ApiError>> + 'static,
) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).streaming(bytes.map(|bytes| bytes.map_err(Error::from)))
}

fn with_body(status: StatusCode, encoding: Encoding, body: impl MessageBody + 'static) -> HttpResponse {
    let content_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::MessagePack => "application/msgpack",
    };
    HttpResponse::build(status).content_type(content_type).body(body)
}
