//! schema/openapi.json equals the document that the code generates, is valid, and says what the server does.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print what they skip")]

mod play;

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
    assert_eq!(paths.len(), 18, "a path without a route");
}
