//! The head of an answer.

use anyhow::{Context, Result, bail};

/// Headers of an answer at most.
const HEADERS_MAX: usize = 32;

/// The beginning of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    /// Its status.
    pub(super) status: u16,
    /// Where the body begins.
    pub(super) bytes: usize,
    /// How long the body is.
    pub(super) body: Body,
}

#[derive(Debug, PartialEq)]
pub(super) enum Body {
    /// So many bytes.
    Length(usize),
    /// It tells on the way.
    Chunked,
}

/// The head of an answer, once all of it is there.
pub(super) fn head_of(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("an answer without a status")?;
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let body = match value("content-length") {
        Some(length) => Body::Length(length.trim().parse()?),
        None if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            Body::Chunked
        }
        None => bail!("an answer with neither a length nor chunks"),
    };
    Ok(Some(Head { status, bytes: length, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(head_of(&whole[..20]).unwrap(), None);
        assert_eq!(head_of(whole).unwrap(), Some(Head { status: 200, bytes: 38, body: Body::Length(5) }));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(head_of(chunked).unwrap().unwrap().body, Body::Chunked);
        assert!(head_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
