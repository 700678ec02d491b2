//! The protocol over HTTP, as an app would speak it: every call is repeated while the server is away.

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

/// Longest wait for one answer. Above what the largest page takes on a slow machine.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);
/// Longest wait for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// A server to talk to.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    encoding: Encoding,
    repeated: AtomicU64,
}

/// An encoded push, for repeating the very same bytes.
pub(crate) struct PushBody(Vec<u8>);

impl PushBody {
    /// Its size.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}

#[derive(Serialize)]
struct Registration<'a> {
    name: &'a str,
    platform: &'a str,
}

impl Client {
    /// A client of the server at `http://host:port`.
    pub(crate) fn new(server: &str, encoding: Encoding) -> Result<Self> {
        ensure!(server.starts_with("http://"), "--server has to start with http://: this program speaks no TLS");
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_WAIT_MAX).timeout(ANSWER_WAIT_MAX);
        let http = http.build().context("the HTTP client cannot be set up")?;
        let base = format!("{}/api/v1", server.trim_end_matches('/'));
        Ok(Self { http, base, encoding, repeated: AtomicU64::new(0) })
    }

    /// How many calls were repeated so far.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// `POST /devices`. If an answer is lost on the way, its device stays behind unused.
    pub(crate) async fn register(&self, key: &str, name: &str) -> Result<RegisterResponse> {
        let body = self.encode(&Registration { name, platform: "tidelog-load" })?;
        let request = self.post("/devices", key, body);
        self.call(request, |problem| problem.is_passing() && !problem.is_rate_limited())
            .await
            .map_err(|error| match error.downcast_ref::<Problem>() {
                Some(problem) if problem.is_rate_limited() => error.context(
                    "the enrollment key registers no more devices for now: every author is one, \
                     so make a key with `tidelog key create ... --no-rate-limit`",
                ),
                Some(_) | None => error,
            })
            .with_context(|| format!("registering device {name:?}"))
    }

    /// The body of a push.
    pub(crate) fn push_body(&self, push: &PushRequest) -> Result<PushBody> {
        self.encode(push).map(PushBody)
    }

    /// `POST /sync/push`
    pub(crate) async fn push(&self, token: &str, body: PushBody) -> Result<PushResponse> {
        self.call(self.post("/sync/push", token, body.0), Problem::is_passing).await.context("pushing")
    }

    /// `GET /sync/pull`
    pub(crate) async fn pull(&self, token: &str, after: Option<&Cursor>, limit: usize) -> Result<PullResponse> {
        let after = after.map(ToString::to_string);
        let request = self.get("/sync/pull", token).query(&page(after.as_deref(), limit));
        self.call(request, Problem::is_passing).await.context("pulling")
    }

    /// `GET /sync/records`
    pub(crate) async fn records(&self, token: &str, after: Option<&str>, limit: usize) -> Result<RecordsResponse> {
        let request = self.get("/sync/records", token).query(&page(after, limit));
        self.call(request, Problem::is_passing).await.context("reading records")
    }

    /// `GET /sync/status`
    pub(crate) async fn status(&self, token: &str) -> Result<Status> {
        self.call(self.get("/sync/status", token), Problem::is_passing).await.context("asking for the status")
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

    /// Calls until there is an answer, or a problem that repeating would not solve, or patience is over.
    async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        worth_repeating: impl Fn(&Problem) -> bool,
    ) -> Result<T> {
        let mut backoff = Backoff::new();
        loop {
            let again = request.try_clone().context("a request cannot be repeated")?;
            let (error, at_least) = match exchange(again).await {
                Ok((status, body)) if status.is_success() => {
                    return decode(self.encoding, &body).context("the server's answer cannot be read");
                }
                Ok((status, body)) => {
                    let problem = Problem::read(status, &body);
                    if !worth_repeating(&problem) {
                        return Err(problem.into());
                    }
                    let at_least = problem.retry_after();
                    (anyhow::Error::new(problem), at_least)
                }
                Err(error) if error.is_builder() => return Err(error).context("the request cannot be made"),
                Err(error) => (anyhow::Error::new(error), None),
            };
            if !backoff.wait(at_least).await? {
                return Err(error.context(format!("given up after {} attempts", backoff.attempts())));
            }
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn exchange(request: RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.bytes().await?.to_vec()))
}

fn page(after: Option<&str>, limit: usize) -> Vec<(&'static str, String)> {
    let after = after.map(|after| ("after", after.to_owned()));
    after.into_iter().chain([("limit", limit.to_string())]).collect()
}
