//! docs/TUTORIAL.md: its client runs as two devices against a real server, and the page shows the client whole.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, one of which says when it is skipped")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidelog_testkit::{Reader, TestApp};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const PAGE: &str = include_str!("../../../docs/TUTORIAL.md");
const CLIENT: &str = include_str!("../../../docs/tutorial/client.py");
/// An address at which nobody listens.
const NO_SERVER: &str = "http://127.0.0.1:9";

/// One device: a state file, and the tutorial's client as a process for each command.
struct Device {
    state_file: PathBuf,
    server: String,
}

impl Device {
    async fn register(dir: &Path, name: &str, app: &TestApp) -> Self {
        let device = Self { state_file: dir.join(format!("{name}.json")), server: app.url() };
        let key = app.key("member", &["*"]).await;
        device.run(&app.url(), &["register", &key, name]).await;
        device
    }

    /// Runs a command against a server. Returns what it prints.
    async fn run(&self, server: &str, words: &[&str]) -> String {
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial/client.py");
        let mut command = Command::new("python3");
        command.arg(client).arg(&self.state_file).arg(server).args(words);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Makes an op without a network.
    async fn put(&self, record: &str, fields: Json) {
        self.run(NO_SERVER, &["put", "notes", record, &fields.to_string()]).await;
    }

    async fn delete(&self, record: &str) {
        self.run(NO_SERVER, &["delete", "notes", record]).await;
    }

    async fn read(&self, record: &str) -> Json {
        serde_json::from_str(&self.run(NO_SERVER, &["read", "notes", record]).await).unwrap()
    }

    async fn sync(&self) {
        assert_eq!(self.run(&self.server, &["sync"]).await, "in step");
    }

    async fn syncs_in_vain(&self, server: &str) {
        assert_eq!(self.run(server, &["sync"]).await, "offline");
    }

    fn state(&self) -> Json {
        serde_json::from_slice(&std::fs::read(&self.state_file).unwrap()).unwrap()
    }

    /// Changes the stored state, as a fault of the device or of the server would.
    fn damage(&self, change: impl FnOnce(&mut Json)) {
        let mut state = self.state();
        change(&mut state);
        std::fs::write(&self.state_file, state.to_string()).unwrap();
    }

    /// Its records, once everything in the log is folded and pulled.
    async fn records(&self, app: &TestApp) -> BTreeMap<String, Json> {
        app.folded().await;
        self.sync().await;
        let state = self.state();
        assert_eq!(state["outbox"], json!([]));
        serde_json::from_value(state["records"].clone()).unwrap()
    }
}

/// The live records of the server, as the client keeps them.
async fn records_of_server(app: &TestApp) -> BTreeMap<String, Json> {
    let records = app.phone("reader").await.records().await;
    let entry = |row: &tidelog_core::wire::RecordView| {
        (format!("{}/{}", row.table, row.record), serde_json::to_value(&row.fields).unwrap())
    };
    records.iter().map(entry).collect()
}

/// A proxy that passes a request on and cuts the connection once the response begins: the server has done the work, and
/// the client does not learn it.
async fn response_loser(server: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = TcpStream::connect(server).await.unwrap();
            let (mut from_client, _to_client) = client.split();
            let (mut from_server, mut to_server) = upstream.split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                _ = from_server.read_u8() => {}
            }
        }
    });
    url
}

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: the tutorial's client needs python3, which is not installed");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_agree_after_an_offline_phase_and_a_lost_response() {
    if !has_python() {
        return;
    }
    let (app, dir) = (TestApp::start().await, TempDir::new().unwrap());
    let phone = Device::register(dir.path(), "phone", &app).await;
    let tablet = Device::register(dir.path(), "tablet", &app).await;
    phone.put("shopping", json!({"text": "milk", "done": false})).await;
    phone.put("old", json!({"text": "stamps"})).await;
    phone.sync().await;
    app.folded().await;
    tablet.sync().await;
    assert_eq!(tablet.read("shopping").await, json!({"text": "milk", "done": false}));

    // Both are offline and edit the same note. Each sees its own edits at once.
    phone.put("shopping", json!({"text": "milk, bread"})).await;
    phone.syncs_in_vain(NO_SERVER).await;
    tablet.put("shopping", json!({"done": true})).await;
    tablet.delete("old").await;
    assert_eq!(tablet.read("shopping").await, json!({"text": "milk", "done": true}));
    assert_eq!(tablet.read("old").await, Json::Null);

    // The push of the tablet is stored, and its response is lost. The next sync sends the same ops.
    tablet.syncs_in_vain(&response_loser(app.address()).await).await;
    let mut reader = app.phone("log reader").await;
    assert_eq!(reader.pull_ops().await.len(), 4, "the push is in the log");
    assert_eq!(tablet.state()["outbox"][0]["position"], Json::Null, "the tablet does not know");
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(reader.pull_ops().await.len(), 1, "the tablet's ops are stored once, and the phone's op came");

    let records = phone.records(&app).await;
    assert_eq!(records, BTreeMap::from([("notes/shopping".to_owned(), json!({"text": "milk, bread", "done": true}))]));
    assert_eq!(tablet.records(&app).await, records);
    assert_eq!(records_of_server(&app).await, records);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_recovers_from_what_a_server_may_refuse() {
    if !has_python() {
        return;
    }
    let (app, dir) = (TestApp::start().await, TempDir::new().unwrap());
    let phone = Device::register(dir.path(), "phone", &app).await;
    phone.put("one", json!({"n": 1})).await;
    phone.sync().await;

    // 409 cursor_diverged, of both cursors: it reads everything anew and keeps what is unsent.
    phone.put("two", json!({"n": 2})).await;
    phone.damage(|state| {
        for cursor in ["pull_cursor", "records_cursor"] {
            let text = state[cursor].as_str().unwrap();
            let (position, _) = text.rsplit_once('.').unwrap();
            state[cursor] = json!(format!("{position}.0123456789abcdef"));
        }
        state["records"]["notes/never"] = json!({"text": "of another log"});
    });
    phone.sync().await;
    assert_eq!(phone.records(&app).await, records_of_server(&app).await);

    // 409 seq_gap, and the missing op is still here: as if the server had acknowledged it and lost it.
    phone.put("three", json!({"n": 3})).await;
    phone.put("four", json!({"n": 4})).await;
    phone.damage(|state| state["outbox"][0]["position"] = json!(1_000_000));
    phone.sync().await;
    assert_eq!(phone.records(&app).await, records_of_server(&app).await);

    // 409 seq_gap, and the missing op is gone: it goes on as a new device.
    let token = phone.state()["token"].clone();
    phone.damage(|state| state["next_seq"] = json!(1_000));
    phone.put("five", json!({"n": 5})).await;
    phone.sync().await;
    assert_ne!(phone.state()["token"], token);

    // A rejected op does not hold up the next one, and the app can show it.
    phone.run(NO_SERVER, &["put", "unheard_of", "six", "{}"]).await;
    phone.put("seven", json!({"n": 7})).await;
    let records = phone.records(&app).await;
    assert_eq!(phone.state()["rejected"][0]["code"], "table_unknown");
    assert_eq!(
        records.keys().collect::<Vec<_>>(),
        ["notes/five", "notes/four", "notes/one", "notes/seven", "notes/three", "notes/two"]
    );
    assert_eq!(records, records_of_server(&app).await);
}

#[test]
fn the_page_shows_the_client_whole_and_in_order() {
    let mut rest = CLIENT;
    for block in PAGE.split("```python\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let (skipped, after) =
            rest.split_once(block).unwrap_or_else(|| panic!("not in client.py, or out of order:\n{block}"));
        assert!(skipped.trim().is_empty(), "client.py has what the page lacks:\n{skipped}");
        rest = after;
    }
    assert!(rest.trim().is_empty(), "client.py has what the page lacks:\n{rest}");
}
