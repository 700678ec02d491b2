//! Answers of the server, sorted by what a client does about them.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::http::HttpResult;

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) expected: Option<i64>,
    #[serde(default)]
    pub(crate) op_index: Option<usize>,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// The server refuses.
    Problem(Problem),
    /// There is no answer, or none that can be read.
    None,
}

impl<T: DeserializeOwned> Answer<T> {
    pub(crate) fn read(result: HttpResult) -> Self {
        let HttpResult::Answer { status, retry_after_ms, body } = result else { return Self::None };
        if status == 200 || status == 201 {
            return rmp_serde::from_slice(&body).map_or(Self::None, Self::Ok);
        }
        Self::Problem(Problem::read(status, retry_after_ms, &body))
    }
}

impl Problem {
    fn read(status: u16, retry_after_ms: Option<u64>, body: &Bytes) -> Self {
        let problem: Self = serde_json::from_slice(body).unwrap_or_default();
        Self { status, retry_after_ms: problem.retry_after_ms.or(retry_after_ms), ..problem }
    }

    /// Whether the credential was refused.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == 401
    }

    /// Whether the cursor that was sent is of another log, or one that the server no longer takes.
    pub(crate) fn is_of_cursor(&self) -> bool {
        matches!(self.code.as_str(), "cursor_diverged" | "cursor_ahead" | "cursor_expired" | "cursor_invalid")
    }
}
