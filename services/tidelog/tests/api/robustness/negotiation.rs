//! What a response depends on: encodings by their weights, tags of representations, and `Vary`.

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tidelog_core::wire::Encoding;
use tidelog_testkit::{Phone, Response, TestApp};

/// `GET` with these headers in place of the client's own.
async fn get(phone: &Phone, path: &str, headers: &[(reqwest::header::HeaderName, &'static str)]) -> Response {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
    phone.http.send(phone.http.request(Method::GET, path).headers(headers)).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.get(name).map(|value| value.to_str().unwrap())
}

async fn phone_with_a_note(app: &TestApp) -> Phone {
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "n", json!({"text": "x".repeat(5_000)}));
    phone.push_and_wait(&[op]).await;
    phone
}

#[tokio::test]
async fn a_weight_of_zero_excludes_an_encoding() {
    let app = TestApp::start().await;
    let phone = phone_with_a_note(&app).await;
    for path in ["/api/v1/sync/status", "/api/v1/sync/pull", "/api/v1/sync/records", "/api/v1/records/notes/n"] {
        for (accept, expected) in [
            ("application/json;q=0, application/*;q=0.1", Some("application/msgpack")),
            ("application/msgpack;q=0, */*", Some("application/json")),
            ("application/json;q=0, application/msgpack;q=0.000, application/x-ndjson;q=0", None),
            ("*/*;q=0", None),
        ] {
            let response = get(&phone, path, &[(ACCEPT, accept)]).await;
            match expected {
                Some(media_type) => assert_eq!(header(&response, "content-type"), Some(media_type), "{path} {accept}"),
                None => drop(response.refused(406, "not_acceptable")),
            }
        }
        for (accept, expected) in [
            ("gzip;q=0, zstd", Some("zstd")),
            ("zstd;q=0, br;q=0, gzip;q=0.1", Some("gzip")),
            ("gzip;q=0", None),
            ("gzip;q=0, br;q=0.0, zstd;q=0.000, deflate;q=0", None),
            ("*;q=0, gzip", Some("gzip")),
            ("gzip;q=0, *", None),
        ] {
            let response = get(&phone, path, &[(ACCEPT_ENCODING, accept)]).await;
            assert_eq!(response.status, 200, "{path} {accept}");
            assert_eq!(header(&response, "content-encoding"), expected, "{path} {accept}");
        }
    }
    assert_eq!(get(&phone, "/api/v1/sync/pull", &[(ACCEPT_ENCODING, "identity;q=0, *;q=0")]).await.status, 406);
}

#[tokio::test]
async fn a_tag_is_of_a_representation() {
    let app = TestApp::start().await;
    let phone = phone_with_a_note(&app).await;
    for path in ["/api/v1/records/notes/n", "/api/v1/catalog"] {
        let tag_of = async |encoding| {
            let http = phone.http.clone().speaking(encoding);
            header(&http.get(path).await, "etag").unwrap().to_owned()
        };
        let (json, packed) = (tag_of(Encoding::Json).await, tag_of(Encoding::MessagePack).await);
        assert!(json.starts_with("W/\"") && packed.starts_with("W/\"") && json != packed, "{json} {packed}");
        let compressed = get(&phone, path, &[(ACCEPT_ENCODING, "gzip")]).await;
        assert_eq!(
            (header(&compressed, "etag"), header(&compressed, "content-encoding")),
            (Some(&*json), Some("gzip"))
        );
        let strong = json.strip_prefix("W/").unwrap();
        for (known, status) in [
            (json.clone(), 304),
            (strong.to_owned(), 304),
            ("*".to_owned(), 304),
            (format!("\"other\", {json}"), 304),
            (format!("{packed},{strong},\"x\""), 304),
            (packed.clone(), 200),
            ("\"other\"".to_owned(), 200),
            (strong.trim_matches('"').to_owned(), 200),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let request = phone.http.request(method.clone(), path).header("if-none-match", &known);
                let response = phone.http.send(request).await.unwrap();
                assert_eq!(response.status, status, "{method} {path} {known}");
                assert_eq!(header(&response, "etag"), Some(&*json), "{known}");
                assert_eq!(header(&response, "vary"), Some("Accept, Accept-Encoding"));
                assert!(status == 200 || response.body.is_empty());
            }
        }
        // Several headers are one list.
        let request = phone.http.request(Method::GET, path).header("if-none-match", "\"other\"");
        let response = phone.http.send(request.header("if-none-match", &json)).await.unwrap();
        assert_eq!(response.status, StatusCode::NOT_MODIFIED);
    }
    // Where there is nothing, nothing is unchanged.
    let request = phone.http.request(Method::GET, "/api/v1/records/notes/never").header("if-none-match", "*");
    phone.http.send(request).await.unwrap().refused(404, "not_found");
}

#[tokio::test]
async fn every_response_says_what_it_depends_on() {
    let app = TestApp::start().await;
    let phone = phone_with_a_note(&app).await;
    let device = format!("/api/v1/devices/{}", phone.device);
    for (path, status) in [
        ("/api/v1/sync/pull", 200),
        ("/api/v1/sync/records", 200),
        ("/api/v1/sync/status", 200),
        ("/api/v1/sync/ops/1", 200),
        ("/api/v1/records/notes/n", 200),
        ("/api/v1/records/notes/n/history", 200),
        ("/api/v1/conflicts", 200),
        ("/api/v1/catalog", 200),
        ("/api/v1/devices", 200),
        (device.as_str(), 200),
        ("/api/v1/conflicts/2.x", 404),
        ("/api/v1/records/notes/never", 404),
        ("/api/v1/never", 404),
        ("/api/v1/sync/push", 405),
        ("/api/v1/sync/pull?limit=0", 422),
        ("/api/v1/sync/pull?after=x", 400),
    ] {
        for accept in ["application/json", "application/msgpack"] {
            for coding in ["identity", "gzip"] {
                let response = get(&phone, path, &[(ACCEPT, accept), (ACCEPT_ENCODING, coding)]).await;
                assert_eq!(response.status, status, "{path}");
                let vary: Vec<_> = response.headers.get_all("vary").iter().collect();
                assert_eq!(vary, ["Accept, Accept-Encoding"], "{path} {accept} {coding}");
            }
        }
    }
    for path in ["/api/v1/sync/pull", "/api/v1/sync/records"] {
        let response = phone.http.send(phone.http.request_lines(path)).await.unwrap();
        assert_eq!(header(&response, "vary"), Some("Accept, Accept-Encoding"), "{path}");
    }
    for response in [
        get(&phone, "/api/v1/sync/pull", &[(ACCEPT, "text/html")]).await,
        get(&phone, "/api/v1/sync/pull", &[(ACCEPT_ENCODING, "*;q=0")]).await,
        app.get("/api/v1/sync/pull").await,
        phone.try_push(&[]).await,
        phone.http.post("/api/v1/sync", &json!({"ops": []})).await,
        phone.http.post("/api/v1/sync", &json!({})).await,
        app.get("/metrics").await,
    ] {
        assert_eq!(header(&response, "vary"), Some("Accept, Accept-Encoding"), "{}", response.text());
    }
}

#[tokio::test]
async fn a_refused_body_says_what_would_be_taken() {
    let app = TestApp::start().await;
    let phone = phone_with_a_note(&app).await;
    let post = async |headers: &[(&'static str, &'static str)]| {
        let mut request = phone.http.request(Method::POST, "/api/v1/sync/push").body("{\"ops\":[]}");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        phone.http.send(request).await.unwrap()
    };
    let json = ("content-type", "application/json");
    for coding in ["br", "gzip, gzip", "compress"] {
        let refused = post(&[json, ("content-encoding", coding)]).await;
        refused.refused(415, "encoding_unsupported");
        assert_eq!((header(&refused, "accept-encoding"), header(&refused, "accept")), (Some("gzip, zstd"), None));
    }
    for headers in [&[][..], &[("content-type", "text/plain")]] {
        let refused = post(headers).await;
        refused.refused(415, "media_type");
        let accept = Some("application/json, application/msgpack");
        assert_eq!((header(&refused, "accept-encoding"), header(&refused, "accept")), (None, accept));
    }
}
