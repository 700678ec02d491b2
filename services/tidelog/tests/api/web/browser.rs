//! A web page on another origin syncs, in a real browser. `deploy/browser.sh` finds or installs Chromium.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidelog_gateway::CorsOrigin;
use tidelog_testkit::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long the browser may take to start and to run the page.
const BROWSER_TIME_MAX: Duration = Duration::from_secs(120);

/// A page that registers a device, pushes, pulls, reads an error, and reports to the server that it is from.
const PAGE: &str = r#"<!doctype html><script>
const call = async (method, path, credential, body) => {
    const response = await fetch(API + path, {
        method,
        headers: {
            "Authorization": "Bearer " + credential,
            "X-Request-Id": "page-1",
            ...(body ? {"Content-Type": "application/json"} : {}),
        },
        body: body && JSON.stringify(body),
    });
    return {status: response.status, request: response.headers.get("X-Request-Id"), body: await response.json()};
};
(async () => {
    const report = {};
    try {
        report.registered = await call("POST", "/api/v1/devices", KEY, {name: "page"});
        const token = report.registered.body.token;
        const op = {seq: 1, table: "notes", record: "a", kind: "put", fields: {text: "from a page"}};
        report.pushed = await call("POST", "/api/v1/sync/push", token, {ops: [op]});
        report.pulled = await call("GET", "/api/v1/sync/pull", token);
        report.refused = await call("POST", "/api/v1/sync/push", token, {ops: [{...op, seq: 9}]});
    } catch (error) {
        report.error = String(error);
    }
    await fetch("/report", {method: "POST", body: JSON.stringify(report)});
})();
</script>"#;

/// The browser's program, as `deploy/browser.sh` prints it. `None` if there is none.
fn browser() -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/browser.sh");
    let found = Command::new(script).arg("find").stdin(Stdio::null()).output().unwrap();
    found.status.success().then(|| String::from_utf8(found.stdout).unwrap().trim().to_owned())
}

/// A browser that shows a page until it is dropped.
struct Browser(Child);

impl Browser {
    fn show(program: &str, profile: &std::path::Path, url: &str) -> Self {
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ];
        let mut command = Command::new(program);
        command.args(options).arg(format!("--user-data-dir={}", profile.display())).arg(url);
        // Without it Chromium stays until it is told to go.
        command.arg("--remote-debugging-port=0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves the page, and returns what it reports.
async fn report_of(page: &str, listener: TcpListener) -> Json {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let (status, body) = match request.split_once(' ').unwrap_or_default() {
            ("GET", rest) if rest.starts_with("/ ") => ("200 OK", page),
            ("POST", _) => return serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap(),
            _ => ("404 Not Found", ""),
        };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut received).await.unwrap() == 0 {
            return text;
        }
    }
}

#[tokio::test]
async fn a_page_on_another_origin_registers_pushes_and_pulls() {
    let Some(program) = browser() else {
        assert!(std::env::var_os("TIDELOG_SKIP_NOTHING").is_none(), "no Chromium is here: run deploy/browser.sh");
        println!("skipped: no Chromium is here; deploy/browser.sh installs one");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Another origin is another port.
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = TestApp::build().cors_origins(&[origin.parse::<CorsOrigin>().unwrap()]).start().await;
    let key = app.key("member", &["*"]).await;
    let page = PAGE.replace("API", &json!(app.url()).to_string()).replace("KEY", &json!(key).to_string());
    let profile = tempfile::tempdir().unwrap();
    let _browser = Browser::show(&program, profile.path(), &format!("{origin}/"));
    let report = timeout(BROWSER_TIME_MAX, report_of(&page, listener)).await.unwrap();
    assert_eq!(report["error"], Json::Null, "{report}");
    let statuses = ["registered", "pushed", "pulled", "refused"].map(|step| report[step]["status"].as_i64().unwrap());
    assert_eq!(statuses, [201, 200, 200, 409], "{report}");
    let events = report["pulled"]["body"]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["fields"]["text"] == "from a page"), "{report}");
    assert_eq!(report["refused"]["body"]["code"], "seq_gap");
    assert_eq!(report["refused"]["request"], "page-1", "the page may read the id of its request");
}
