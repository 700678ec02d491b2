//! The bounds of parameters and of members of requests, by name: one name means one thing wherever it occurs.

use serde_json::{Map, Value as Json, json};
use tidelog_core::limits::{
    APP_BYTES_MAX, BATCH_OPS_MAX, NAME_BYTES_MAX, NONCE_CHARS_MAX, NONCE_CHARS_MIN, PAGE_EVENTS_DEFAULT,
    PAGE_EVENTS_MAX, PULL_WAIT_MS_MAX, PUSH_WAIT_MS_MAX, ROLE_BYTES_MAX,
};

/// Longest id of a conflict, in bytes.
const CONFLICT_BYTES_MAX: usize = 280;

/// Bounds of a query or path parameter, to be added to its schema.
pub(super) fn of_parameter(name: &str, method: &str) -> Option<Map<String, Json>> {
    // A caller may ask for the server's tables, which start with `_`, and gets nothing.
    let table = "[a-z_][a-z0-9_]{0,62}";
    let bounds = match name {
        "wait" => json!({"minimum": 0, "maximum": if method == "get" { PULL_WAIT_MS_MAX } else { PUSH_WAIT_MS_MAX }}),
        "limit" => json!({"minimum": 1, "maximum": PAGE_EVENTS_MAX, "default": PAGE_EVENTS_DEFAULT}),
        "table" => json!({"pattern": format!("^{table}$")}),
        "tables" => json!({"pattern": format!("^{table}(,{table})*$")}),
        "at_least" | "changed_after" => json!({"minimum": 0, "maximum": i64::MAX}),
        // Several of them, separated by commas.
        "scopes" => json!({"pattern": "^[^\\u0000]*$"}),
        "state" => json!({"enum": ["plain", "full"], "default": "plain"}),
        "status" => json!({"enum": ["open", "resolved", "overtaken", "automatic"]}),
        _ => return of_member(name),
    };
    bounds.as_object().cloned()
}

/// Bounds of a member of a request, to be added to its schema. Lengths are counted in characters here and in bytes by the
/// server, so that it may refuse a text that is not ASCII.
pub(super) fn of_member(name: &str) -> Option<Map<String, Json>> {
    let without_nul = "^[^\\u0000]*$";
    let text = |min: usize, max: usize| json!({"minLength": min, "maxLength": max, "pattern": without_nul});
    let bounds = match name {
        "seq" => json!({"minimum": 1, "maximum": i64::MAX}),
        "base" => json!({"minimum": 0, "maximum": i64::MAX}),
        "limit" => json!({"minimum": 1, "maximum": PAGE_EVENTS_MAX}),
        "replaces_through" => json!({"minimum": 0, "maximum": i64::MAX}),
        "device" | "replaces" | "workspace" => json!({"pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}),
        "table" | "tables" => json!({"pattern": "^[a-z][a-z0-9_]{0,62}$"}),
        "record" | "name" => text(1, NAME_BYTES_MAX),
        "scope" => json!({"maxLength": NAME_BYTES_MAX, "pattern": "^(?!\\*$)[^\\u0000]*$"}),
        "actor" | "scopes" => text(0, NAME_BYTES_MAX),
        "role" => text(1, ROLE_BYTES_MAX),
        "nonce" => text(NONCE_CHARS_MIN, NONCE_CHARS_MAX),
        "conflict" => text(1, CONFLICT_BYTES_MAX),
        "app" | "platform" => text(0, APP_BYTES_MAX),
        "ops" => json!({"maxItems": BATCH_OPS_MAX}),
        "fields" => json!({"propertyNames": {
            "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": without_nul, "not": {"const": "$binary"}
        }}),
        _ => return None,
    };
    bounds.as_object().cloned()
}
