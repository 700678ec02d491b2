//! Schemathesis plays the document against a server. `deploy/api_tools.sh` installs it.

use std::path::PathBuf;
use std::process::Command;

use tidelog_testkit::{Serving, seed, tidelog_command};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/openapi.json");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/schemathesis.toml");

/// One of the installed programs. `None` if they are not installed.
fn tool(name: &str) -> Option<Command> {
    let program: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "..", "api-tools", "bin", name].iter().collect();
    if !program.exists() {
        assert!(std::env::var_os("TIDELOG_SKIP_NOTHING").is_none(), "{name} is not installed: run deploy/api_tools.sh");
        println!("skipped: {name} is not installed; deploy/api_tools.sh installs it");
        return None;
    }
    Some(Command::new(program))
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_document_is_valid() {
    let Some(mut validator) = tool("openapi-spec-validator") else { return };
    succeeds(validator.arg(DOCUMENT));
}

#[test]
fn the_server_does_what_the_document_says() {
    let Some(mut main) = tool("schemathesis") else { return };
    let Some(mut admin) = tool("schemathesis") else { return };
    let seed = seed().to_string();
    let dir = tempfile::tempdir().unwrap();
    // Nobody reads the log before the end, so a server that logs each refusal would wait for a reader.
    let args = ["--admin-listen", "127.0.0.1:0", "--log", "error"];
    let server = Serving::start(env!("CARGO_BIN_EXE_tidelog"), dir.path(), &args);
    let admin_url = server.lines.iter().find_map(|line| line.strip_prefix("admin on ")).unwrap().to_owned();
    let run = |args: &[&str]| {
        let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), dir.path());
        succeeds(command.args(args)).trim().to_owned()
    };
    run(&["workspace", "create", "acme"]);
    let key = run(&["key", "create", "--workspace", "acme", "--role", "member", "--scope", "*", "--no-rate-limit"]);
    let variables = [
        ("DEVICE_TOKEN", register(&server.url, &key)),
        ("ENROLLMENT_KEY", key),
        ("ANALYST_TOKEN", run(&["key", "create", "--workspace", "acme", "--analyst"])),
        ("ADMIN_TOKEN", run(&["key", "create", "--admin"])),
    ];
    let play = |schemathesis: &mut Command, url: &str, which: &str| {
        schemathesis.args(["--config-file", CONFIG, "run", DOCUMENT, "--url", url, which, "^/admin", "--seed", &seed]);
        succeeds(schemathesis.envs(variables.clone()).current_dir(dir.path()))
    };
    println!("{}", play(&mut main, &server.url, "--exclude-path-regex"));
    println!("{}", play(&mut admin, &admin_url, "--include-path-regex"));
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");
}

/// Registers a device and returns its token.
fn register(url: &str, key: &str) -> String {
    let body = r#"{"name":"schemathesis"}"#;
    let response = succeeds(Command::new("curl").args(["-sS", "-X", "POST", "-d", body]).args([
        "-H",
        "Content-Type: application/json",
        "-H",
        &format!("Authorization: Bearer {key}"),
        &format!("{url}/api/v1/devices"),
    ]));
    let registered: serde_json::Value = serde_json::from_str(&response).unwrap();
    registered["token"].as_str().unwrap().to_owned()
}
