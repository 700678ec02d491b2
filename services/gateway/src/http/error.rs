//! Errors as HTTP responses with a body of `application/problem+json` (RFC 9457). Only this file gives codes their status.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use tidelog_core::error::Code;
use tidelog_core::wire::DecodeError;
use tidelog_postgres::{LogError, StoreError};

/// An error response: a code, and the members that go with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ApiError {
    /// The stable error code, which also decides the status.
    pub code: Code,
    /// What is wrong with this request and what to do about it. Never repeats input.
    pub detail: String,
    /// The number that the server expected, such as the next seq.
    pub expected: Option<i64>,
    /// The limit that the request exceeds.
    pub limit: Option<i64>,
    /// The index of the operation that caused the error.
    pub op_index: Option<usize>,
    /// How long to wait before the next attempt, in milliseconds.
    pub retry_after_ms: Option<i64>,
    /// The methods that the route has, if it was called with another one: the `Allow` header.
    pub allow: Option<String>,
}

/// The body of every error response, as in RFC 9457.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// A URI that identifies the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// The meaning of the code in one sentence, the same for every request.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and what to do about it.
    detail: String,
    /// The stable error code, for programs to decide by.
    code: &'static str,
    /// Whether the same request may succeed later without a change.
    retryable: bool,
    /// The number that the server expected, such as the next seq.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<i64>,
    /// The limit that the request exceeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// The index of the operation that caused the error, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    op_index: Option<usize>,
    /// How long to wait before the next attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<i64>,
}

impl ApiError {
    /// An error with a code and a detail, and no further members.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            expected: None,
            limit: None,
            op_index: None,
            retry_after_ms: None,
            allow: None,
        }
    }

    /// The same error with the index of the operation that caused it.
    pub fn at_op(self, op_index: usize) -> Self {
        Self { op_index: Some(op_index), ..self }
    }

    /// The same error with the limit that the request exceeds.
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit: i64::try_from(limit).ok(), ..self }
    }

    /// An error of code `unavailable`: the same request may succeed in a second.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after_ms: Some(1_000), ..Self::new(Code::Unavailable, detail) }
    }

    /// The body of the response.
    pub(crate) fn problem_json(&self) -> Vec<u8> {
        let problem = Problem {
            problem_type: format!("urn:tidelog:problem:{}", self.code),
            title: self.code.title(),
            status: self.status_code().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str(),
            retryable: self.is_retryable(),
            expected: self.expected,
            limit: self.limit,
            op_index: self.op_index,
            retry_after_ms: self.retry_after_ms,
        };
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// Whether the same request may succeed later without a change.
    fn is_retryable(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::CommitUnknown | Code::RateLimited | Code::RequestTimeout)
    }
}

fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BodyEmpty | Code::JsonSyntax | Code::MsgpackInvalid | Code::EncodingCorrupt | Code::CursorInvalid => {
            StatusCode::BAD_REQUEST
        }
        Code::AuthMissing | Code::AuthMalformed | Code::TokenInvalid | Code::DeviceRevoked => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::KeyExhausted | Code::RoleForbidden | Code::ScopeForbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::CursorAhead | Code::CursorDiverged | Code::SeqGap | Code::SeqConflict | Code::ConflictClosed => {
            StatusCode::CONFLICT
        }
        Code::CursorExpired => StatusCode::GONE,
        Code::BodyTooLarge | Code::InflatedTooLarge | Code::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::EncodingUnsupported | Code::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ShapeInvalid
        | Code::UnknownMember
        | Code::DuplicateKey
        | Code::NulChar
        | Code::TooDeep
        | Code::NumberRange
        | Code::ReservedKey
        | Code::NameInvalid
        | Code::IdInvalid
        | Code::TimeInvalid
        | Code::OpMalformed
        | Code::OpInvalid
        | Code::SeqOrder
        | Code::BaseAhead
        | Code::OpRejected
        | Code::QueryInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::CommitUnknown => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The header that says what a body may be instead, if its form is not supported (RFC 9110, section 15.5.16).
fn supported_instead(code: Code) -> Option<(HeaderName, &'static str)> {
    match code {
        Code::EncodingUnsupported => Some((header::ACCEPT_ENCODING, "gzip, zstd")),
        Code::MediaType => Some((header::ACCEPT, "application/json, application/msgpack")),
        _ => None,
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status_of(self.code)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if let Some(wait_ms) = self.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, (wait_ms.max(0) as u64).div_ceil(1_000).to_string()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(supported) = supported_instead(self.code) {
            response.insert_header(supported);
        }
        if let Some(methods) = &self.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        response.content_type("application/problem+json").body(self.problem_json())
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        Self { op_index: error.op_index, ..Self::new(error.code, error.detail) }
    }
}

impl From<StoreError> for ApiError {
    /// Temporary failures become 503. Failures that should never happen become 500; they are logged here, once, and the
    /// response says nothing about their cause.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Locked(_) => {
                tracing::warn!(%error, "the database is unavailable");
                Self::unavailable("the database is unavailable, try again")
            }
            StoreError::CommitUnknown(_) => {
                tracing::warn!(%error, "the outcome of a commit is unknown");
                let detail = "it is unknown whether this was stored: send it again, a push is stored only once";
                Self { retry_after_ms: Some(1_000), ..Self::new(Code::CommitUnknown, detail) }
            }
            StoreError::Corrupt(_) | StoreError::Database(_) => {
                tracing::error!(%error, "the database returned an unexpected error or inconsistent data");
                Self::new(Code::Internal, "the server failed; its log says why")
            }
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Diverged => cursor_diverged(),
            LogError::Store(error) => error.into(),
        }
    }
}

/// The error for a cursor past the end of the log.
pub(crate) fn cursor_ahead() -> ApiError {
    let detail = "the log ends before this cursor: start again from /sync/records and keep unsent operations";
    ApiError::new(Code::CursorAhead, detail)
}

/// The error for a cursor that was made from a log with other events than the one that is there now.
pub(crate) fn cursor_diverged() -> ApiError {
    let detail = "this cursor belongs to another history of the log: start again from /sync/records and keep unsent \
                  operations";
    ApiError::new(Code::CursorDiverged, detail)
}

/// The error for a response that cannot be serialized. Logs the cause.
pub(crate) fn unwritable(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a response could not be written");
    ApiError::new(Code::Internal, "the response could not be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_internal_errors_are_500() {
        for code in Code::ALL {
            let is_500 = status_of(*code) == StatusCode::INTERNAL_SERVER_ERROR;
            assert_eq!(is_500, *code == Code::Internal, "{code}");
        }
    }
}
