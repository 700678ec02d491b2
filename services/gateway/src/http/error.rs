//! The one place that knows HTTP statuses: every refusal as `application/problem+json` (RFC 9457).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use tidelog_core::error::Code;
use tidelog_core::wire::DecodeError;
use tidelog_postgres::{LogError, StoreError};

/// A refusal with its code and what belongs to it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ApiError {
    /// The stable code.
    pub code: Code,
    /// What is wrong here, without a word of the input.
    pub detail: String,
    /// The seq or other number that would have been right.
    pub expected: Option<i64>,
    /// The limit that was passed.
    pub limit: Option<i64>,
    /// The index of the operation at fault.
    pub op_index: Option<usize>,
    /// When to try again, in milliseconds.
    pub retry_after_ms: Option<i64>,
    /// The methods of a route that was called by another one.
    pub allow: Option<String>,
}

/// The body of a problem.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// A URI that names the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// The code in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong here.
    detail: String,
    /// The stable code.
    code: &'static str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<i64>,
    /// The limit that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// The index of the operation at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    op_index: Option<usize>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<i64>,
}

impl ApiError {
    /// A refusal.
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

    /// Says which operation is at fault.
    pub fn at_op(self, op_index: usize) -> Self {
        Self { op_index: Some(op_index), ..self }
    }

    /// Says which limit was passed.
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit: i64::try_from(limit).ok(), ..self }
    }

    /// The service cannot take this now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after_ms: Some(1_000), ..Self::new(Code::Unavailable, detail) }
    }

    /// Whether the same request may succeed later.
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
        if let Some(methods) = &self.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        let problem = Problem {
            problem_type: format!("urn:tidelog:problem:{}", self.code),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str(),
            retryable: self.is_retryable(),
            expected: self.expected,
            limit: self.limit,
            op_index: self.op_index,
            retry_after_ms: self.retry_after_ms,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        Self { op_index: error.op_index, ..Self::new(error.code, error.detail) }
    }
}

impl From<StoreError> for ApiError {
    /// What passes is 503; what should not happen is logged here, once, and told without a word of it.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Locked(_) => {
                tracing::warn!(%error, "the database is unavailable");
                Self::unavailable("the database is unavailable, try again")
            }
            StoreError::CommitUnknown(_) => {
                tracing::warn!(%error, "the outcome of a commit is not known");
                let detail = "whether it was stored is not known: send it again, a push is stored once";
                Self { retry_after_ms: Some(1_000), ..Self::new(Code::CommitUnknown, detail) }
            }
            StoreError::Corrupt(_) | StoreError::Database(_) => {
                tracing::error!(%error, "the database gave an answer that it should not give");
                Self::new(Code::Internal, "an error of the server's own; its log has more")
            }
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Diverged => diverged(),
            LogError::Store(error) => error.into(),
        }
    }
}

/// The refusal of a cursor that another log made, which is not the one that stands here now.
pub(crate) fn diverged() -> ApiError {
    let detail = "the log is another than this cursor was made from: start anew from /sync/records, keep unsent ops";
    ApiError::new(Code::CursorDiverged, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_our_own_are_500() {
        for code in Code::ALL {
            let is_server_error = status_of(*code).as_u16() == 500;
            assert_eq!(is_server_error, *code == Code::Internal, "{code}");
        }
    }
}
