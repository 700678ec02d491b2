//! schema/openapi.json equals the document that the code generates, is valid, and says what the server does.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print what they skip")]

mod play;

use tidelog_core::limits::{PAGE_EVENTS_MAX, PULL_WAIT_MS_MAX, PUSH_WAIT_MS_MAX};

#[test]
fn the_stored_document_is_up_to_date() {
    let stored = include_str!("../../../../schema/openapi.json");
    assert!(stored == tidelog_gateway::openapi_json(), "schema/openapi.json is stale: run `make schema`");
}

#[test]
fn every_route_is_in_the_document() {
    let document: serde_json::Value = serde_json::from_str(&tidelog_gateway::openapi_json()).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    for path in [
        "/api/v1/devices",
        "/api/v1/devices/self/token",
        "/api/v1/devices/{device}",
        "/api/v1/sync/push",
        "/api/v1/sync/pull",
        "/api/v1/sync",
        "/api/v1/sync/ops/{seq}",
        "/api/v1/sync/records",
        "/api/v1/records/{table}/{record}",
        "/api/v1/records/{table}/{record}/history",
        "/api/v1/conflicts",
        "/api/v1/conflicts/{conflict}",
        "/api/v1/conflicts/{conflict}/resolve",
        "/api/v1/sync/status",
        "/api/v1/catalog",
        "/admin/v1/workspaces",
        "/health/live",
        "/health/ready",
        "/metrics",
    ] {
        assert!(paths.contains(&path.to_owned()), "{path} is missing from {paths:?}");
    }
    assert_eq!(paths.len(), 21, "a path without a route");
}

#[test]
fn every_number_in_a_query_has_the_bounds_that_the_server_checks() {
    let document: serde_json::Value = serde_json::from_str(&tidelog_gateway::openapi_json()).unwrap();
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let parameters = operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
    let mut checked = 0;
    for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
        let schema = &parameter["schema"];
        let bounds = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
        let (limit, pull, push) = (PAGE_EVENTS_MAX as i64, PULL_WAIT_MS_MAX as i64, PUSH_WAIT_MS_MAX as i64);
        match parameter["name"].as_str().unwrap() {
            "limit" => assert_eq!(bounds, (Some(1), Some(limit)), "{parameter}"),
            "wait" => assert!([(Some(0), Some(pull)), (Some(0), Some(push))].contains(&bounds), "{parameter}"),
            "at_least" => assert_eq!(bounds.0, Some(0), "{parameter}"),
            _ => continue,
        }
        checked += 1;
    }
    assert!(checked >= 8, "{checked} parameters");
}
