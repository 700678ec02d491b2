//! Requests as plain data: the host sends them.

use bytes::Bytes;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// A request to the server. The host adds the server's address in front of the path, sends the body as
/// `application/msgpack`, accepts the same, and may compress both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The path and the query, from `/api/v1` on.
    pub path: String,
    /// The credential of the `Authorization` header, without `Bearer`.
    pub bearer: String,
    /// The body; `None` for a `GET`.
    pub body: Option<Bytes>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpResult {
    /// The server answered.
    Answer {
        /// The status.
        status: u16,
        /// The `Retry-After` header in milliseconds, if there is one.
        retry_after_ms: Option<u64>,
        /// The body, decompressed.
        body: Bytes,
    },
    /// There is no answer: the network is away, or the time is over. The server may have done what was asked.
    NoAnswer,
}

impl HttpRequest {
    pub(crate) fn get(path: String, bearer: &str) -> Self {
        Self { method: Method::Get, path: format!("/api/v1{path}"), bearer: bearer.to_owned(), body: None }
    }

    pub(crate) fn post(path: &str, bearer: &str, body: Vec<u8>) -> Self {
        let path = format!("/api/v1{path}");
        Self { method: Method::Post, path, bearer: bearer.to_owned(), body: Some(body.into()) }
    }
}

/// A query of these parameters, without those that have no value.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => query.push(char::from(byte)),
                _ => query.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    query
}
