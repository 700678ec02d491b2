//! CORS: web pages of listed origins may call the API and read its responses and errors, pages of others may not.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;
use tidelog_gateway::CorsOrigin;
use tidelog_testkit::{Http, Response, Serving, TestApp};

const LISTED: &str = "https://app.example.com";
const OTHER: &str = "https://evil.example.com";

fn listed() -> CorsOrigin {
    LISTED.parse().unwrap()
}

async fn from_page(http: &Http, method: Method, path: &str, origin: &str) -> Response {
    http.send(http.request(method, path).header("origin", origin)).await.unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// What a browser looks at in the response to `OPTIONS`.
#[track_caller]
fn allows_the_request(response: &Response, origin: &str) {
    assert_eq!((response.status.as_u16(), response.body.len()), (204, 0));
    let is = |name, value| assert_eq!(header(&response.headers, name), value, "{name}");
    is("access-control-allow-origin", origin);
    is("access-control-allow-methods", "GET, HEAD, POST, PATCH, DELETE");
    is(
        "access-control-allow-headers",
        "authorization, content-type, content-encoding, accept, if-none-match, last-event-id, x-request-id",
    );
    is("access-control-max-age", "7200");
    is("access-control-allow-credentials", "");
    varies_by_origin(response);
}

#[track_caller]
fn varies_by_origin(response: &Response) {
    let all: Vec<_> = response.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(all.join(", ").to_lowercase().contains("origin"), "{all:?}");
}

/// What a browser looks at in any other response.
#[track_caller]
fn lets_the_page_read(response: &Response, origin: &str) {
    assert_eq!(header(&response.headers, "access-control-allow-origin"), origin);
    assert_eq!(header(&response.headers, "access-control-expose-headers"), "ETag, Retry-After, X-Request-Id");
    assert_eq!(header(&response.headers, "access-control-allow-credentials"), "");
    varies_by_origin(response);
}

#[track_caller]
fn says_nothing_of_cors(response: &Response) {
    let names: Vec<_> = response.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn pages_of_a_listed_origin_may_call_and_read_responses_and_errors() {
    let app = TestApp::build().cors_origins(&[listed(), "http://10.0.0.7:5173".parse().unwrap()]).start().await;
    let phone = app.phone("phone").await;
    for path in ["/api/v1/sync/push", "/api/v1/devices", "/api/v1/nothing", "/health/live"] {
        allows_the_request(&from_page(&app.http(""), Method::OPTIONS, path, LISTED).await, LISTED);
    }
    let rows = [
        (from_page(&phone.http, Method::GET, "/api/v1/sync/status", LISTED).await, 200),
        (from_page(&phone.http, Method::GET, "/api/v1/catalog", "http://10.0.0.7:5173").await, 200),
        (from_page(&phone.http, Method::GET, "/api/v1/nothing", LISTED).await, 404),
        (from_page(&app.http(""), Method::GET, "/api/v1/sync/status", LISTED).await, 401),
        (from_page(&phone.http, Method::DELETE, "/api/v1/sync/push", LISTED).await, 405),
        (from_page(&phone.http, Method::POST, "/api/v1/sync/push", LISTED).await, 415),
    ];
    for (response, status) in rows {
        assert_eq!(response.status.as_u16(), status);
        let origin = header(&response.headers, "access-control-allow-origin").to_owned();
        assert!(origin == LISTED || origin == "http://10.0.0.7:5173");
        lets_the_page_read(&response, &origin);
        assert!(response.headers.contains_key("x-request-id"));
    }
    for method in [Method::OPTIONS, Method::GET] {
        let response = from_page(&phone.http, method, "/api/v1/sync/status", OTHER).await;
        says_nothing_of_cors(&response);
        varies_by_origin(&response);
    }
    let without_origin = phone.http.get("/api/v1/sync/status").await;
    says_nothing_of_cors(&without_origin);
    varies_by_origin(&without_origin);
}

#[tokio::test]
async fn a_page_may_read_early_refusals_too() {
    let app = TestApp::build().cors_origins(&[listed()]).connections_max(8).start().await;
    let mut phone = app.phone("phone").await;
    let large = phone.http.request(Method::POST, "/api/v1/sync/push").header("origin", LISTED);
    let large = large.header("content-type", "application/json").body(vec![b' '; 4 * 1024 * 1024 + 1]);
    let refused = phone.http.send(large).await.unwrap();
    refused.refused(413, "body_too_large");
    lets_the_page_read(&refused, LISTED);
    phone.saves("notes", "a", json!({})).await;
    app.database.kill_connections().await;
    let owner = app.database.connect().await;
    owner.batch_execute("ALTER TABLE tidelog.heads RENAME TO gone").await.unwrap();
    let op = phone.put("notes", "b", json!({}));
    let push = phone.http.request(Method::POST, "/api/v1/sync/push").header("origin", LISTED);
    let failed = phone.http.send(push.json(&phone.request(&[op]))).await.unwrap();
    assert!(failed.status.is_server_error(), "{}", failed.text());
    lets_the_page_read(&failed, LISTED);
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let app = TestApp::build().cors_origins(&[CorsOrigin::Any]).admin_listener().start().await;
    allows_the_request(&from_page(&app.http(""), Method::OPTIONS, "/api/v1/sync/push", OTHER).await, "*");
    lets_the_page_read(&from_page(&app.http(""), Method::GET, "/health/live", "null").await, "*");
    // The admin listener is for operators, not for web pages.
    let admin = app.admin().await;
    says_nothing_of_cors(&from_page(&admin, Method::GET, "/admin/v1/workspaces", OTHER).await);
    from_page(&admin, Method::OPTIONS, "/admin/v1/workspaces", OTHER).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn without_the_option_no_page_may_call() {
    let app = TestApp::start().await;
    let response = from_page(&app.http(""), Method::OPTIONS, "/api/v1/sync/push", "http://localhost:3000").await;
    response.refused(405, "method_not_allowed");
    says_nothing_of_cors(&response);
    says_nothing_of_cors(&from_page(&app.http(""), Method::GET, "/health/live", LISTED).await);
}

#[tokio::test]
async fn the_demo_allows_pages_of_this_machine_and_those_that_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(
        env!("CARGO_BIN_EXE_tidelog"),
        dir.path(),
        &["--demo", "--cors-origin", LISTED, "--admin-listen", "127.0.0.1:0"],
    );
    let http = Http::new(server.address(), "");
    for origin in
        ["http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:5173", "http://app.localhost", LISTED]
    {
        lets_the_page_read(&from_page(&http, Method::GET, "/health/live", origin).await, origin);
    }
    for origin in [OTHER, "http://192.168.0.2", "http://localhost.example.com", "null"] {
        says_nothing_of_cors(&from_page(&http, Method::GET, "/health/live", origin).await);
    }
    server.stop();
}
