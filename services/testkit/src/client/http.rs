//! An HTTP client with a credential, and responses read whole.

use std::io::Cursor;
use std::net::SocketAddr;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
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

/// A response, read whole.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Vec<u8>,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// The same as the response's status.
    pub status: u16,
    /// A URI that identifies the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The meaning of the code.
    pub title: String,
    /// What is wrong with the request.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The number that the server expected.
    pub expected: Option<i64>,
    /// The limit that the request exceeds.
    pub limit: Option<i64>,
    /// The index of the op that is wrong.
    pub op_index: Option<usize>,
    /// How long to wait before the next attempt.
    pub retry_after_ms: Option<i64>,
    /// The whole body as text.
    #[serde(skip)]
    pub text: String,
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json",
        Encoding::MessagePack => "application/msgpack",
    }
}

impl Http {
    /// A client that sends and accepts JSON. With an empty credential it sends none.
    pub fn new(address: SocketAddr, credential: &str) -> Self {
        let (base, credential) = (format!("http://{address}"), credential.to_owned());
        Self { client: Client::new(), base, credential, encoding: Encoding::Json }
    }

    /// The same client in another encoding.
    pub fn speaking(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// The same client through another address, such as a proxy's.
    pub fn by_way_of(self, address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), client: Client::new(), ..self }
    }

    /// The encoding that it sends and accepts.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Its credential.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// A request with the credential and the encoding that it accepts.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_of(method, path, media_type(self.encoding))
    }

    fn request_of(&self, method: Method, path: &str, accept: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base)).header(ACCEPT, accept);
        if self.credential.is_empty() {
            return request;
        }
        request.header(AUTHORIZATION, format!("Bearer {}", self.credential))
    }

    /// The request for a response of JSON lines.
    pub fn request_lines(&self, path: &str) -> RequestBuilder {
        self.request_of(Method::GET, path, "application/x-ndjson")
    }

    /// `GET` of JSON lines: the value of each line.
    pub async fn lines(&self, path: &str) -> Vec<Json> {
        let response = self.send(self.request_lines(path)).await.expect("a response");
        assert_eq!(response.content_type(), Some("application/x-ndjson"));
        let text = String::from_utf8(response.body).expect("lines of UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The request for a sequence of pages.
    pub fn request_pages(&self, path: &str) -> RequestBuilder {
        self.request_of(Method::GET, path, "application/msgpack-seq")
    }

    /// `GET` of a sequence of pages, read whole.
    pub async fn pages(&self, path: &str) -> Vec<PullResponse> {
        let response = self.send(self.request_pages(path)).await.expect("a response");
        assert!(response.status.is_success(), "{}: {}", response.status, response.text());
        let (pages, rest) = whole_pages(&response.body);
        assert_eq!(rest, 0, "bytes behind the last whole page");
        pages
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.request(Method::GET, path)).await.expect("a response")
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str) -> Response {
        self.send(self.request(Method::DELETE, path)).await.expect("a response")
    }

    /// `PATCH` with a value.
    pub async fn patch<T: Serialize>(&self, path: &str, body: &T) -> Response {
        let body = tidelog_core::wire::encode(self.encoding, body).expect("the body is encoded");
        let request = self.request(Method::PATCH, path).header(CONTENT_TYPE, media_type(self.encoding));
        self.send(request.body(body)).await.expect("a response")
    }

    /// `POST` of a value.
    pub async fn post<T: Serialize>(&self, path: &str, body: &T) -> Response {
        self.try_post(path, body).await.expect("a response")
    }

    /// `POST` of a value over a network that may break.
    pub async fn try_post<T: Serialize>(&self, path: &str, body: &T) -> reqwest::Result<Response> {
        let body = tidelog_core::wire::encode(self.encoding, body).expect("the body is encoded");
        self.send(self.request(Method::POST, path).header(CONTENT_TYPE, media_type(self.encoding)).body(body)).await
    }

    /// `POST` of bytes as they are.
    pub async fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Response {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, content_type);
        self.send(request.body(body.to_vec())).await.expect("a response")
    }

    /// Sends a request and reads the response whole.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Response { status, headers, body: response.bytes().await?.to_vec() })
    }
}

/// The whole pages at the beginning of a sequence, and the number of bytes behind them.
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
    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Asserts success, and reads the body in the encoding that its content type names.
    #[track_caller]
    pub fn good<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        match self.content_type() == Some(media_type(Encoding::MessagePack)) {
            true => rmp_serde::from_slice(&self.body).expect("a body of the expected shape"),
            false => serde_json::from_slice(&self.body).expect("a body of the expected shape"),
        }
    }

    /// Asserts a refusal: the status, the code, and a body with every member that RFC 9457 and the protocol ask for.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Problem {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.content_type(), Some("application/problem+json"));
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((problem.code.as_str(), problem.status), (code, status), "{text}");
        Problem { text, ..problem }
    }
}
