//! The routes of the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use tidelog_core::ids::{DeviceId, Scope, TableName};
use tidelog_core::wire::{Encoding, PushRequest};
use tidelog_engine::{HttpRequest, HttpResult, Method};

use crate::server::log::ModelServer;

/// A refusal of the model.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: u16,
    /// The stable code.
    pub(crate) code: String,
    /// What was expected instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<i64>,
    /// The op that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) op_index: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str) -> Self {
        Self { status, code: code.to_owned(), ..Self::default() }
    }

    pub(crate) fn to_result(&self) -> HttpResult {
        let body = serde_json::to_vec(self).unwrap_or_default().into();
        HttpResult::Answer { status: self.status, retry_after_ms: None, body }
    }
}

/// What the model does with a request.
pub(crate) enum Served {
    /// It answers.
    Answer(HttpResult),
    /// There is nothing to tell yet, and the caller waits.
    Wait,
}

/// The parameters of a request.
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect())
    }

    /// No parameters.
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn tables(&self) -> Option<Vec<TableName>> {
        Some(self.get("tables")?.split(',').filter_map(|name| TableName::parse(name).ok()).collect())
    }

    pub(crate) fn scopes(&self) -> Option<Vec<Scope>> {
        Some(self.get("scopes")?.split(',').filter_map(|name| Scope::parse(name).ok()).collect())
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' && rest.len() >= 2 {
            let code = std::str::from_utf8(&rest[..2]).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
            bytes.push(code.unwrap_or_default());
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn ok<T: Serialize>(body: &T) -> HttpResult {
    let body = rmp_serde::to_vec_named(body).unwrap_or_default().into();
    HttpResult::Answer { status: 200, retry_after_ms: None, body }
}

impl ModelServer {
    /// Serves a request. `is_last_call`: the time of a caller that waits is over.
    pub(crate) fn serve(&mut self, request: &HttpRequest, is_last_call: bool) -> Served {
        match self.route(request, is_last_call) {
            Ok(served) => served,
            Err(refusal) => Served::Answer(refusal.to_result()),
        }
    }

    fn route(&mut self, request: &HttpRequest, is_last_call: bool) -> Result<Served, Refusal> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let query = Query::parse(query);
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let body = request.body.clone().unwrap_or_default();
        if (request.method, path) == (Method::Post, "/devices") {
            return self.register(&request.bearer, &body).map(Served::Answer);
        }
        let device = self.authenticate(&request.bearer)?;
        let answer = match (request.method, path) {
            (Method::Post, "/sync/push") => ok(&self.push(device, &read_push(&body)?)?),
            (Method::Get, "/sync/pull") => {
                let page = self.pull(device, &query)?;
                let may_wait = query.number("wait").unwrap_or_default() > 0 && !is_last_call;
                if may_wait && !page.has_news() {
                    return Ok(Served::Wait);
                }
                ok(&page)
            }
            (Method::Get, "/sync/records") => ok(&self.records(device, &query)?),
            (Method::Get, "/sync/ops") => ok(&self.ops(device, &query)),
            (Method::Get, "/conflicts") => ok(&self.list_conflicts(device)),
            (Method::Post, "/devices/self/token") => self.rotate(device),
            (Method::Get, path) => match path.strip_prefix("/devices/").and_then(|id| DeviceId::parse(id).ok()) {
                Some(id) => ok(&self.device_view(id)?),
                None => return Err(Refusal::new(404, "not_found")),
            },
            (Method::Post, _) => return Err(Refusal::new(404, "not_found")),
        };
        Ok(Served::Answer(answer))
    }
}

fn read_push(body: &Bytes) -> Result<PushRequest, Refusal> {
    PushRequest::read(Encoding::MessagePack, body)
        .map_err(|error| Refusal { op_index: error.op_index, ..Refusal::new(422, error.code.as_str()) })
}
