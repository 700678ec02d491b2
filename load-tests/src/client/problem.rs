//! Error responses of the server: `application/problem+json` (RFC 9457), or the same in MessagePack.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

/// Bytes of a response that is not a problem document which its error message repeats.
const EXCERPT_BYTES_MAX: usize = 300;

/// An error response.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    members: Members,
    excerpt: String,
}

/// The members of a problem document that are used here.
#[derive(Debug, Default, Deserialize)]
struct Members {
    code: Option<String>,
    detail: Option<String>,
    expected: Option<i64>,
    limit: Option<i64>,
    op_index: Option<usize>,
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// Reads an error response. It need not be a problem document, since a proxy may have sent it.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        let members = serde_json::from_slice(body).ok().or_else(|| rmp_serde::from_slice(body).ok());
        let members: Members = members.unwrap_or_default();
        let excerpt = if members.code.is_none() { &body[..body.len().min(EXCERPT_BYTES_MAX)] } else { &[] };
        Self { status, members, excerpt: excerpt.escape_ascii().to_string() }
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::BAD_GATEWAY
                | StatusCode::GATEWAY_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
    }

    /// Whether a rate limit of the caller is reached.
    pub(crate) fn is_rate_limited(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// How long the server asks to wait before the call is repeated.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.members.retry_after_ms.map(Duration::from_millis)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = &self.members;
        write!(f, "the server responded with {}", self.status.as_u16())?;
        match &members.code {
            Some(code) => write!(f, " {code}")?,
            None if self.excerpt.is_empty() => {}
            None => write!(f, ": {}", self.excerpt)?,
        }
        if let Some(detail) = &members.detail {
            write!(f, ": {detail}")?;
        }
        let index = members.op_index.and_then(|index| i64::try_from(index).ok());
        for (name, number) in [("expected", members.expected), ("limit", members.limit), ("op_index", index)] {
            if let Some(number) = number {
                write!(f, ", {name} {number}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_code_and_numbers() {
        let body = br#"{"type":"about:blank","status":409,"code":"seq_gap","detail":"ops are missing","expected":7}"#;
        let problem = Problem::read(StatusCode::CONFLICT, body);
        assert_eq!(problem.to_string(), "the server responded with 409 seq_gap: ops are missing, expected 7");
        assert!(!problem.is_transient());
    }

    #[test]
    fn a_response_that_is_not_a_problem_document_is_shown_as_it_came() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, b"<html>\n");
        assert_eq!(problem.to_string(), r"the server responded with 502: <html>\n");
        assert!(problem.is_transient());
    }
}
