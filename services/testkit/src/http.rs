//! Requests and what came back.

use std::io::Cursor;
use std::net::SocketAddr;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidelog_core::wire::{Encoding, PullResponse};

/// A client with a credential and an encoding.
#[derive(Clone)]
pub struct Http {
    client: Client,
    base: String,
    credential: String,
    encoding: Encoding,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json",
        Encoding::MessagePack => "application/msgpack",
    }
}

impl Http {
    /// A client that sends JSON.
    pub fn new(address: SocketAddr, credential: &str) -> Self {
        let (base, credential) = (format!("http://{address}"), credential.to_owned());
        Self { client: Client::new(), base, credential, encoding: Encoding::Json }
    }

    /// The same in another encoding.
    pub fn speaking(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// The same by way of another address: a proxy's.
    pub fn by_way_of(self, address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), client: Client::new(), ..self }
    }

    /// Its credential.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// The encoding it speaks.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// A request with its credential and what it accepts.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = request.header(ACCEPT, media_type(self.encoding));
        if self.credential.is_empty() {
            return request;
        }
        request.header(AUTHORIZATION, format!("Bearer {}", self.credential))
    }

    /// `GET` of lines, read whole: each line parsed.
    pub async fn lines(&self, path: &str) -> Vec<Json> {
        let request = self.client.get(format!("{}{path}", self.base)).header(ACCEPT, "application/x-ndjson");
        let answer = self.send(request.header(AUTHORIZATION, format!("Bearer {}", self.credential))).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.headers.get(CONTENT_TYPE).map(|media| media.as_bytes()), Some(&b"application/x-ndjson"[..]));
        let text = String::from_utf8(answer.body).expect("lines of UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// `GET` of a sequence of pages, read whole.
    pub async fn pages(&self, path: &str) -> Vec<PullResponse> {
        let answer = self.send(self.request_pages(path)).await.expect("an answer");
        assert!(answer.status.is_success(), "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        let (pages, rest) = whole_pages(&answer.body);
        assert_eq!(rest, 0, "the sequence ends with a page");
        pages
    }

    /// The request of a sequence of pages.
    pub fn request_pages(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.base)).header(ACCEPT, "application/msgpack-seq");
        request.header(AUTHORIZATION, format!("Bearer {}", self.credential))
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str) -> Response {
        self.send(self.request(Method::DELETE, path)).await.expect("an answer")
    }

    /// `POST` of a value.
    pub async fn post<T: Serialize>(&self, path: &str, body: &T) -> Response {
        self.try_post(path, body).await.expect("an answer")
    }

    /// `POST` of a value over a network that may break.
    pub async fn try_post<T: Serialize>(&self, path: &str, body: &T) -> reqwest::Result<Response> {
        let body = tidelog_core::wire::encode(self.encoding, body).expect("the body is encoded");
        self.send(self.request(Method::POST, path).header(CONTENT_TYPE, media_type(self.encoding)).body(body)).await
    }

    /// `POST` of bytes as they are.
    pub async fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Response {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, content_type);
        self.send(request.body(body.to_vec())).await.expect("an answer")
    }

    /// Sends and reads it whole.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Response { status, headers, body: response.bytes().await?.to_vec() })
    }
}

/// The whole pages at the beginning of a sequence, and how many bytes stand behind them.
pub fn whole_pages(bytes: &[u8]) -> (Vec<PullResponse>, usize) {
    let (mut pages, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let mut reader = rmp_serde::Deserializer::new(Cursor::new(rest));
        let Ok(page) = PullResponse::deserialize(&mut reader) else { break };
        rest = &rest[reader.position() as usize..];
        pages.push(page);
    }
    (pages, rest.len())
}

impl Response {
    /// Asserts success and reads the body in the encoding it came in.
    #[track_caller]
    pub fn good<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        let packed = self.headers.get(CONTENT_TYPE).is_some_and(|media| media == media_type(Encoding::MessagePack));
        match packed {
            true => rmp_serde::from_slice(&self.body).expect("the answer's shape"),
            false => serde_json::from_slice(&self.body).expect("the answer's shape"),
        }
    }

    /// The body as JSON, whatever the status.
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts a refusal: status and code, as a whole problem.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Json {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(
            self.headers.get(CONTENT_TYPE).map(|media| media.as_bytes()),
            Some(&b"application/problem+json"[..])
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["status"], status, "{text}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{member} of {text}");
        }
        assert!(problem["retryable"].is_boolean(), "{text}");
        problem
    }
}
