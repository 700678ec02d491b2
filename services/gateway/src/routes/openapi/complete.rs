//! What the OpenAPI document says of every route alike: who may call it, in which encodings, and which errors it has.
//!
//! Routes declare what is their own. The rest follows from what a route has: a credential, a body, parameters.

use actix_web::http::StatusCode;
use serde_json::{Map, Value as Json, json};

use crate::http::negotiate::media_type::{self, MESSAGE_PACK, MESSAGE_PACK_SEQUENCE, NDJSON};
use crate::routes::openapi::bounds;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const JSON: &str = media_type::JSON[0];
const PROBLEM: &str = "application/problem+json";

/// Completes the document that was generated from the routes' attributes.
pub(super) fn complete(document: &mut Json) {
    document["components"]["securitySchemes"] = security_schemes();
    for schema in members_of(&mut document["components"]["schemas"]) {
        complete_schema(schema);
    }
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        if path.starts_with("/admin/") {
            item["servers"] =
                json!([{"url": "http://127.0.0.1:8081", "description": "the listener of --admin-listen"}]);
        }
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete_operation(path, method, operation);
            }
        }
    }
}

fn security_schemes() -> Json {
    let bearer = |description: &str| json!({"type": "http", "scheme": "bearer", "description": description});
    json!({
        "enrollment_key": bearer("An enrollment key (tlk_...): registers devices."),
        "device_token": bearer("The token of a device (tld_...)."),
        "analyst_token": bearer("An analyst token (tla_...): reads one workspace."),
        "admin_token": bearer("An admin token (tldm_...), on the admin listener."),
    })
}

/// The credentials with which a route may be called. None is needed outside the API.
fn security_of(path: &str, method: &str) -> Json {
    let is_own = |route: &str| path.starts_with(&format!("/api/v1{route}"));
    let names: &[&str] = match method {
        _ if path.starts_with("/admin/") => &["admin_token"],
        _ if !is_own("/") => &[],
        "post" if path == "/api/v1/devices" => &["enrollment_key"],
        "get" if !is_own("/sync/ops") => &["device_token", "analyst_token"],
        _ => &["device_token"],
    };
    names.iter().map(|name| json!({*name: []})).collect()
}

fn complete_operation(path: &str, method: &str, operation: &mut Json) {
    let security = security_of(path, method);
    let is_api = security != json!([]);
    operation["security"] = security;
    let has_body = operation.get("requestBody").is_some();
    if has_body {
        let content = &mut operation["requestBody"]["content"];
        for other in MESSAGE_PACK {
            content[*other] = content[JSON].clone();
        }
    }
    for parameter in operation.get_mut("parameters").and_then(Json::as_array_mut).into_iter().flatten() {
        complete_parameter(method, parameter);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let general: &[&str] = if is_api { &["401", "403", "406", "422", "429", "500", "503"] } else { &[] };
    let of_body: &[&str] = if has_body { &["400", "408", "413", "415"] } else { &[] };
    for status in general.iter().chain(of_body) {
        responses.entry(*status).or_insert_with(|| json!({}));
    }
    for (status, response) in responses {
        complete_response(path, status, response, is_api);
    }
}

/// The media types in which a route streams its response.
fn streams_of(path: &str) -> Vec<&'static str> {
    match path {
        "/api/v1/sync/pull" => [NDJSON, MESSAGE_PACK_SEQUENCE].concat(),
        "/api/v1/sync/records" => NDJSON.to_vec(),
        _ => Vec::new(),
    }
}

fn complete_response(path: &str, status: &str, response: &mut Json, is_api: bool) {
    let code = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
    if response["description"].as_str().is_none_or(str::is_empty) {
        response["description"] = code.canonical_reason().unwrap_or_default().into();
    }
    let is_problem = code.is_client_error() || code.is_server_error();
    if is_problem && response.get("content").is_none() {
        response["content"] = json!({PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}});
    }
    let content = response.get_mut("content").filter(|content| is_api && !is_problem && content.get(JSON).is_some());
    if let Some(content) = content {
        content[MESSAGE_PACK[0]] = content[JSON].clone();
        for stream in streams_of(path) {
            content[stream] = json!({"schema": {"description": "See docs/PROTOCOL.md."}});
        }
    }
    let header = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    match code {
        StatusCode::UNAUTHORIZED => response["headers"]["WWW-Authenticate"] = header("`Bearer`"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            response["headers"]["Retry-After"] = header("Seconds to wait before the next attempt.");
        }
        _ => {}
    }
}

fn complete_parameter(method: &str, parameter: &mut Json) {
    let bounds = bounds::of_parameter(parameter["name"].as_str().unwrap_or_default(), method);
    extend(&mut parameter["schema"], bounds.unwrap_or_default());
}

/// Gives the members of a request their bounds. Unknown members of requests are refused, those of responses are not.
fn complete_schema(schema: &mut Json) {
    if schema.get("additionalProperties") == Some(&json!(false)) {
        for (name, member) in schema.get_mut("properties").and_then(Json::as_object_mut).into_iter().flatten() {
            extend(member, bounds::of_member(name).unwrap_or_default());
        }
    }
}

/// Adds keywords to a schema; to that of the items, if it is of a list and they are not about the list.
fn extend(schema: &mut Json, keywords: Map<String, Json>) {
    let is_of_items = schema.get("items").is_some() && !keywords.contains_key("maxItems");
    let target = if is_of_items { &mut schema["items"] } else { schema };
    if let Some(target) = target.as_object_mut() {
        target.extend(keywords);
    }
}

fn members_of(object: &mut Json) -> impl Iterator<Item = &mut Json> {
    object.as_object_mut().into_iter().flat_map(|members| members.values_mut())
}
