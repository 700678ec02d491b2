//! The OpenAPI document is true of credentials and of bounds. `tests/openapi` plays the rest of it.

use reqwest::Method;
use serde_json::{Value as Json, json};
use tidelog_testkit::{Http, Response, TestApp};

/// A route of the document: its method, its path with parameters filled in, what the document says of it.
struct Operation {
    method: Method,
    path: String,
    says: Json,
}

fn operations() -> Vec<Operation> {
    let document: Json = serde_json::from_str(&tidelog_gateway::openapi_json()).unwrap();
    let values = [
        ("workspace", "5d0c7b1e-6f7a-4f57-9d0e-0d1f9d3c2b1a"),
        ("device", "92b2203a-17a1-4210-ad48-c9282171d3a7"),
        ("workspace", "acb5f696-c1a7-4880-934f-296a149e74e6"),
        ("seq", "1"),
        ("conflict", "1.a"),
        ("table", "notes"),
        ("record", "a"),
    ];
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = values.iter().fold(path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        assert!(!path.contains('{'), "{path}: give its parameter a value above");
        for (method, says) in item.as_object().unwrap().iter().filter(|(_, says)| says["responses"].is_object()) {
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { method, path: path.clone(), says: says.clone() });
        }
    }
    operations
}

/// Calls a route with an empty object as its body, on the listener that has it.
async fn call(app: &TestApp, credential: &str, operation: &Operation, query: &str) -> Response {
    let address = if operation.path.starts_with("/admin/") { app.admin_address() } else { app.address() };
    let http = Http::new(address, credential);
    let request = http.request(operation.method.clone(), &format!("{}{query}", operation.path));
    http.send(request.json(&json!({}))).await.unwrap()
}

#[tokio::test]
async fn a_route_needs_a_credential_if_the_document_says_so() {
    let app = TestApp::build().admin_listener().start().await;
    for operation in operations() {
        let shown = format!("{} {}", operation.method, operation.path);
        let response = call(&app, "", &operation, "").await;
        let needs_one = !operation.says["security"].as_array().unwrap().is_empty();
        assert_eq!(response.status.as_u16(), if needs_one { 401 } else { 200 }, "{shown}: {}", response.text());
        let status = response.status.as_u16().to_string();
        assert!(operation.says["responses"][&status].is_object(), "{shown}: {status} is not in the document");
    }
}

#[tokio::test]
async fn numbers_in_queries_have_the_bounds_of_the_document() {
    let app = TestApp::build().admin_listener().start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let mut tried = 0;
    for operation in operations() {
        for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let Some((min, max)) = schema["minimum"].as_i64().zip(schema["maximum"].as_i64()) else { continue };
            if parameter["in"] != "query" {
                continue;
            }
            // Some may be as large as a number of 64 bits.
            let (min, max) = (i128::from(min), i128::from(max));
            for (value, is_allowed) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
                let response = call(&app, phone.http.credential(), &operation, &format!("?{name}={value}")).await;
                let is_refused = response.text().contains("\"query_invalid\"");
                assert_eq!(is_refused, !is_allowed, "{} ?{name}={value}: {}", operation.path, response.text());
                tried += 1;
            }
        }
    }
    assert!(tried >= 24, "only {tried} values were tried");
}
