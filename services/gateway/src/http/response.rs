//! Answers in the encoding that the caller accepts.

use actix_web::body::MessageBody;
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tidelog_core::error::Code;
use tidelog_core::wire::{Encoding, encode};

use crate::http::error::ApiError;
use crate::pull::page::Pieces;

/// What a caller accepts, of what a route offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One body.
    Whole(Encoding),
    /// A JSON line each.
    Lines,
    /// A sequence of MessagePack pages.
    Pages,
}

/// The forms that a route has beside one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    /// None.
    None,
    /// NDJSON.
    Lines,
    /// NDJSON and MessagePack pages.
    LinesAndPages,
}

/// The best form that `Accept` names; JSON where it names none.
pub(crate) fn form_of(request: &HttpRequest, streams: Streams) -> Result<Form, ApiError> {
    let mut best: Option<(f32, Form)> = None;
    let mut named = false;
    for accept in request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()) {
        for part in accept.split(',') {
            named = true;
            let mut words = part.split(';').map(str::trim);
            let form = match words.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Form::Whole(Encoding::Json),
                "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
                    Form::Whole(Encoding::MessagePack)
                }
                "application/x-ndjson" if streams != Streams::None => Form::Lines,
                "application/msgpack-seq" if streams == Streams::LinesAndPages => Form::Pages,
                _ => continue,
            };
            let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok());
            let weight: f32 = weight.unwrap_or(0.0);
            if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, form));
            }
        }
    }
    match (best, named) {
        (Some((_, form)), _) => Ok(form),
        (None, false) => Ok(Form::Whole(Encoding::Json)),
        (None, true) => {
            Err(ApiError::new(Code::NotAcceptable, "this route answers application/json and application/msgpack"))
        }
    }
}

/// The encoding of a route that answers one body.
pub(crate) fn encoding_of(request: &HttpRequest) -> Result<Encoding, ApiError> {
    match form_of(request, Streams::None)? {
        Form::Whole(encoding) => Ok(encoding),
        Form::Lines => Ok(Encoding::Json),
        Form::Pages => Ok(Encoding::MessagePack),
    }
}

/// An answer in an encoding.
pub(crate) fn answer<T: Serialize>(status: StatusCode, encoding: Encoding, body: &T) -> Result<HttpResponse, ApiError> {
    let bytes = encode(encoding, body).map_err(|error| unwritable(&error))?;
    Ok(with_body(status, encoding, bytes))
}

/// An answer that cannot be written is an error of the server's own.
pub(crate) fn unwritable(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "an answer could not be written");
    ApiError::new(Code::Internal, "the answer could not be written")
}

/// An answer that is encoded already, in parts.
pub(crate) fn encoded(encoding: Encoding, parts: Vec<Bytes>) -> HttpResponse {
    with_body(StatusCode::OK, encoding, Pieces::of(parts))
}

fn with_body(status: StatusCode, encoding: Encoding, body: impl MessageBody + 'static) -> HttpResponse {
    let content_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::MessagePack => "application/msgpack",
    };
    HttpResponse::build(status).content_type(content_type).insert_header((header::VARY, "Accept")).body(body)
}

/// 200 in the encoding that the caller accepts.
pub(crate) fn ok<T: Serialize>(request: &HttpRequest, body: &T) -> Result<HttpResponse, ApiError> {
    answer(StatusCode::OK, encoding_of(request)?, body)
}
