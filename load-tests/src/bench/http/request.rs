//! Requests as the bytes that are sent.

use std::net::SocketAddr;

use anyhow::{Context, Result};

/// A GET request. It has no credential if `token` is empty.
pub(crate) fn get(path: &str, token: &str, accept: &str) -> Vec<u8> {
    let credential = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    format!("GET {path} HTTP/1.1\r\nhost: tidelog\r\n{credential}accept: {accept}\r\n\r\n").into_bytes()
}

/// A POST request that asks for a response in the media type of its body.
pub(crate) fn post(path: &str, token: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: tidelog\r\nauthorization: Bearer {token}\r\ncontent-type: {media_type}\r\n\
         accept: {media_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The socket address in `http://address:port`.
pub(crate) fn address_of(url: &str) -> Result<SocketAddr> {
    url.trim_start_matches("http://").parse().with_context(|| format!("{url} does not hold an IP address and a port"))
}
