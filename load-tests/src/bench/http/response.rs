//! Responses: the head, which says where the body is and how it is framed, and responses that are errors.

use std::fmt;

use anyhow::{Context, Result, bail};

/// Limit of the headers in a response.
const HEADERS_MAX: usize = 32;
/// Bytes of an error's body that its message repeats.
const EXCERPT_BYTES_MAX: usize = 300;

/// The head of a response.
#[derive(Debug, PartialEq)]
pub(crate) struct ResponseHead {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The length of the head, which is where the body begins.
    pub(crate) bytes: usize,
    /// How the body is framed.
    pub(crate) framing: Framing,
}

/// How a body is framed (RFC 9112, 6).
#[derive(Debug, PartialEq)]
pub(crate) enum Framing {
    /// `Content-Length`: the body has this many bytes.
    Length(usize),
    /// `Transfer-Encoding: chunked`: each chunk has its length in front of it.
    Chunked,
}

/// A response with a status other than 200.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    /// The HTTP status.
    pub(crate) status: u16,
    excerpt: String,
}

/// Parses the head of a response. `None` if it has not arrived in full.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<ResponseHead>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("a response has no status")?;
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let framing = match value("content-length") {
        Some(length) => Framing::Length(length.trim().parse()?),
        None if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            Framing::Chunked
        }
        None => bail!("a response has neither a content-length nor chunks"),
    };
    Ok(Some(ResponseHead { status, bytes: length, framing }))
}

/// Fails with an [`ErrorResponse`] unless the status is 200.
pub(super) fn check_success(status: u16, body: &[u8]) -> Result<(), ErrorResponse> {
    match status {
        200 => Ok(()),
        _ => {
            let excerpt = body[..body.len().min(EXCERPT_BYTES_MAX)].escape_ascii().to_string();
            Err(ErrorResponse { status, excerpt })
        }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server responded with {}: {}", self.status, self.excerpt)
    }
}

impl std::error::Error for ErrorResponse {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(parse_head(&whole[..20]).unwrap(), None);
        let head = ResponseHead { status: 200, bytes: 38, framing: Framing::Length(5) };
        assert_eq!(parse_head(whole).unwrap(), Some(head));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(parse_head(chunked).unwrap().unwrap().framing, Framing::Chunked);
        assert!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
