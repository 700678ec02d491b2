//! A client of the sync API, as an app would have one: it repeats calls while the server cannot be reached.

mod problem;
mod retry;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidelog_core::cursor::Cursor;
use tidelog_core::wire::{
    Encoding, PullResponse, PushRequest, PushResponse, RecordsResponse, RegisterResponse, Status, decode, encode,
};

use problem::Problem;
use retry::Backoff;

/// Longest wait for a response. More than the largest page takes on a slow machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    encoding: Encoding,
    /// How many calls were repeated.
    retries: AtomicU64,
}

/// An encoded push. If it is repeated, the same bytes are sent.
pub(crate) struct PushBody(Vec<u8>);

impl PushBody {
    /// The size of the body.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The body of `POST /devices`.
#[derive(Serialize)]
struct Registration<'a> {
    name: &'a str,
    platform: &'a str,
}

impl Client {
    /// A client of the server at `http://host:port`.
    pub(crate) fn new(server: &str, encoding: Encoding) -> Result<Self> {
        ensure!(server.starts_with("http://"), "--server has to start with http:// (TLS is not supported here)");
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).timeout(RESPONSE_TIMEOUT);
        let http = http.build().context("the HTTP client cannot be set up")?;
        let base = format!("{}/api/v1", server.trim_end_matches('/'));
        Ok(Self { http, base, encoding, retries: AtomicU64::new(0) })
    }

    /// How many calls were repeated so far.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// `POST /devices`. A device whose response was lost stays registered and unused, since the call is repeated.
    pub(crate) async fn register(&self, key: &str, name: &str) -> Result<RegisterResponse> {
        let body = self.encode(&Registration { name, platform: "tidelog-load" })?;
        let request = self.post("/devices", key, body);
        self.call(request, |problem| problem.is_transient() && !problem.is_rate_limited())
            .await
            .map_err(|error| match error.downcast_ref::<Problem>() {
                Some(problem) if problem.is_rate_limited() => error.context(
                    "the rate limit of the enrollment key is reached: each author is registered as a device, \
                     so create a key with `tidelog key create ... --no-rate-limit`",
                ),
                Some(_) | None => error,
            })
            .with_context(|| format!("registering device \"{name}\""))
    }

    /// Encodes the body of a push.
    pub(crate) fn push_body(&self, push: &PushRequest) -> Result<PushBody> {
        self.encode(push).map(PushBody)
    }

    /// `POST /sync/push`
    pub(crate) async fn push(&self, token: &str, body: PushBody) -> Result<PushResponse> {
        self.call(self.post("/sync/push", token, body.0), Problem::is_transient).await.context("pushing")
    }

    /// `GET /sync/pull`
    pub(crate) async fn pull(&self, token: &str, after: Option<&Cursor>, limit: usize) -> Result<PullResponse> {
        let after = after.map(ToString::to_string);
        let request = self.get("/sync/pull", token).query(&page_query(after.as_deref(), limit));
        self.call(request, Problem::is_transient).await.context("pulling")
    }

    /// `GET /sync/records`
    pub(crate) async fn records(&self, token: &str, after: Option<&str>, limit: usize) -> Result<RecordsResponse> {
        let request = self.get("/sync/records", token).query(&page_query(after, limit));
        self.call(request, Problem::is_transient).await.context("reading records")
    }

    /// `GET /sync/status`
    pub(crate) async fn status(&self, token: &str) -> Result<Status> {
        self.call(self.get("/sync/status", token), Problem::is_transient).await.context("reading the status")
    }

    fn encode<T: Serialize>(&self, body: &T) -> Result<Vec<u8>> {
        encode(self.encoding, body).map_err(|error| anyhow::anyhow!("a request cannot be encoded: {error}"))
    }

    fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base)).bearer_auth(token).header(ACCEPT, self.media_type())
    }

    fn post(&self, path: &str, token: &str, body: Vec<u8>) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(token);
        request.header(ACCEPT, self.media_type()).header(CONTENT_TYPE, self.media_type()).body(body)
    }

    fn media_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::MessagePack => "application/msgpack",
        }
    }

    /// Sends a request, and repeats it until it succeeds, fails with a problem that is not `is_retryable`, or was sent as
    /// often as [`Backoff`] allows.
    async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        is_retryable: impl Fn(&Problem) -> bool,
    ) -> Result<T> {
        let mut backoff = Backoff::new();
        loop {
            let attempt = request.try_clone().context("a request cannot be repeated")?;
            let (error, at_least) = match exchange(attempt).await {
                Ok((status, body)) if status.is_success() => {
                    return decode(self.encoding, &body).context("the server's response cannot be read");
                }
                Ok((status, body)) => {
                    let problem = Problem::read(status, &body);
                    if !is_retryable(&problem) {
                        return Err(problem.into());
                    }
                    let at_least = problem.retry_after();
                    (anyhow::Error::new(problem), at_least)
                }
                Err(error) if error.is_builder() => return Err(error).context("the request cannot be built"),
                Err(error) => (anyhow::Error::new(error), None),
            };
            if !backoff.wait(at_least).await? {
                return Err(error.context(format!("gave up after {} attempts", backoff.attempts())));
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends a request and reads the whole response.
async fn exchange(request: RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let response = request.send().await?;
    let status = response.status();
    Ok((status, response.bytes().await?.to_vec()))
}

/// The query parameters of a page.
fn page_query(after: Option<&str>, limit: usize) -> Vec<(&'static str, String)> {
    let after = after.map(|after| ("after", after.to_owned()));
    after.into_iter().chain([("limit", limit.to_string())]).collect()
}
