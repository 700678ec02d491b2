//! The command line as an operator uses it: the real binary with an embedded Postgres, and commands beside a running server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod config;
mod messages;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tidelog_testkit::{Serving, tidelog_command};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");

/// A command that no environment variable of the caller changes.
fn tidelog(data_dir: &Path) -> Command {
    tidelog_command(TIDELOG, data_dir)
}

fn serve(data_dir: &Path, args: &[&str]) -> Serving {
    Serving::start(TIDELOG, data_dir, args)
}

fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("tidelog-cli-").tempdir().unwrap()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// The output of a command that succeeds.
#[track_caller]
fn good(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn good_json(command: &mut Command) -> Json {
    serde_json::from_str(&good(command)).expect("JSON")
}

/// The message of a command that fails: one line.
#[track_caller]
fn bad(command: &mut Command) -> String {
    let output = run(command);
    assert!(!output.status.success(), "it succeeds: {}", String::from_utf8_lossy(&output.stdout));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    message
}

fn shell(script: &str) -> String {
    let output = Command::new("bash").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_lines_of_the_demo_work_when_pasted() {
    let dir = data_dir();
    let mut server = serve(dir.path(), &["--demo"]);
    let lines = ["TOKEN=", "curl -s", "curl -s"].map(|start| server.read_to(start));
    assert!(server.lines.iter().any(|line| line.trim_start().starts_with("member") && line.contains("tlk_")));
    let answers = shell(&lines.join("\necho\n"));
    let mut answers = answers.lines().filter(|line| !line.is_empty());
    let pushed: Json = serde_json::from_str(answers.next().unwrap()).unwrap();
    assert_eq!(pushed["last_seq"], 1);
    assert_eq!(pushed["rejected"], serde_json::json!([]));
    let pulled: Json = serde_json::from_str(answers.next().unwrap()).unwrap();
    assert_eq!(pulled["events"].as_array().unwrap().len(), 3);
    server.stop();

    let mut server = serve(dir.path(), &["--demo"]);
    let lines = ["TOKEN=", "curl -s", "curl -s"].map(|start| server.read_to(start));
    let answers = shell(&lines.join("\necho\n"));
    let pulled: Json = serde_json::from_str(answers.lines().last().unwrap()).unwrap();
    let events = pulled["events"].as_array().unwrap().len();
    assert_eq!(events, 5, "a later start has a key too, and the data is still there");
    server.stop();
}

#[test]
fn commands_reach_a_running_server_by_its_data_directory() {
    let dir = data_dir();
    let server = serve(dir.path(), &[]);
    let created = good_json(tidelog(dir.path()).args(["workspace", "create", "acme", "--json"]));
    let key = created["keys"]["member"].as_str().unwrap();
    assert!(key.starts_with("tlk_"), "{created}");
    let workspace = created["workspace"].as_str().unwrap().to_owned();
    let register = format!(
        "curl -s {}/api/v1/devices -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"name\":\"till\"}}'",
        server.url
    );
    let device: Json = serde_json::from_str(&shell(&register)).unwrap();
    let devices = good_json(tidelog(dir.path()).args(["--json", "device", "list", "--workspace", "acme"]));
    assert_eq!(devices["devices"][0]["name"], "till", "global options may precede the subcommand");
    let table = good(tidelog(dir.path()).args(["device", "list", "--workspace", &workspace]));
    assert!(table.contains("DEVICE") && table.contains("till") && table.contains("active"), "{table}");
    let id = device["device"].as_str().unwrap();
    let set =
        ["device", "set", id, "--workspace", "acme", "--name", "till 2", "--scope", "a", "--scope", "b", "--json"];
    let set = good_json(tidelog(dir.path()).args(set));
    assert_eq!((&set["devices"][0]["name"], &set["devices"][0]["scopes"]), (&"till 2".into(), &["a", "b"][..].into()));
    let message = bad(tidelog(dir.path()).args(["device", "set", id, "--workspace", "acme", "--role", "nobody"]));
    assert!(message.contains("its roles are member"), "{message}");
    let unknown = "00000000-0000-4000-8000-000000000001";
    let message = bad(tidelog(dir.path()).args(["device", "set", unknown, "--workspace", "acme", "--name", "x"]));
    assert!(message.contains("there is no device"), "{message}");
    good(tidelog(dir.path()).args(["device", "revoke", id, "--workspace", "acme"]));
    assert!(good(tidelog(dir.path()).args(["device", "list", "--workspace", "acme"])).contains("revoked"));
    for kind in [
        &["--role", "member", "--scope", "*", "--no-rate-limit"][..],
        &["--analyst"],
        &["--role", "member", "--uses", "1", "--expires-in", "12h"],
    ] {
        let key = good_json(tidelog(dir.path()).args(["key", "create", "--workspace", "acme", "--json"]).args(kind));
        assert!(key["key"].as_str().unwrap().starts_with("tl"), "{key}");
    }
    let keys = good_json(tidelog(dir.path()).args(["key", "list", "--workspace", "acme", "--json"]));
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.iter().filter(|key| key["kind"] == "enrollment").count(), 3);
    assert_eq!(keys[0]["registrations"], 1);
    let first = keys[0]["key"].as_str().unwrap();
    good(tidelog(dir.path()).args(["key", "revoke", first, "--workspace", "acme"]));
    assert!(shell(&register).contains("token_invalid"), "a revoked key registers no device");
    assert!(good(tidelog(dir.path()).args(["key", "list", "--workspace", "acme"])).contains("true"));
    assert!(good(tidelog(dir.path()).args(["key", "create", "--admin"])).starts_with("tldm_"));
    let status = good_json(tidelog(dir.path()).args(["status", "--json"]));
    assert_eq!(status["workspaces"][0]["name"], "acme");
    assert_eq!(status["catalog"], 1);
    server.stop();
    let status = good(tidelog(dir.path()).arg("status"));
    assert!(status.contains("acme"), "without a server the command starts Postgres for itself: {status}");
}

#[test]
fn the_catalog_in_force_stays_until_another_is_applied() {
    let dir = data_dir();
    let (first, second) = (dir.path().join("first.toml"), dir.path().join("second.toml"));
    std::fs::write(&first, "roles = [\"staff\"]\n[tables.forms]\n").unwrap();
    std::fs::write(&second, "roles = [\"staff\", \"boss\"]\n[tables.forms]\n").unwrap();
    let server = serve(dir.path(), &["--catalog", first.to_str().unwrap()]);
    assert!(good(tidelog(dir.path()).args(["catalog", "show"])).contains("[tables.forms]"));
    let log = server.stop();
    assert!(!log.contains("WARN"), "{log}");
    let server = serve(dir.path(), &["--catalog", second.to_str().unwrap()]);
    let created = good_json(tidelog(dir.path()).args(["workspace", "create", "x", "--json"]));
    assert_eq!(created["keys"].as_object().unwrap().len(), 1, "the catalog in force stays");
    let applied = good_json(tidelog(dir.path()).args(["catalog", "apply", second.to_str().unwrap(), "--json"]));
    assert_eq!(applied["version"], 2);
    assert_eq!(applied["changed"], true);
    let again = good_json(tidelog(dir.path()).args(["catalog", "apply", second.to_str().unwrap(), "--json"]));
    assert_eq!(again["version"], 2);
    assert_eq!(again["changed"], false);
    let log = server.stop();
    assert!(log.contains("WARN") && log.contains("second.toml"), "{log}");
}

#[test]
fn faults_of_a_catalog_are_reported_by_line_and_column() {
    let dir = data_dir();
    let file = dir.path().join("bad.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        bad(tidelog(dir.path()).args(["catalog", "check"]).arg(&file))
    };
    let message = check("roles = [\"staff\"]\n[tables.forms]\nwriet = [\"staff\"]\n");
    assert!(message.contains("line 3, column 1") && message.contains("writ"), "{message}");
    let message = check("roles = [\"staff\"]\n[tables.forms]\nwrite = [\"boss\"]\n");
    assert!(message.contains("line 3") && message.contains("boss"), "{message}");
    let message = check("roles = [\"staff\"]\n[tables.forms.fields.n]\nrule = \"custom\"\nname = \"mine\"\n");
    assert!(
        message.contains("no resolver named \"mine\""),
        "a rule without a resolver in this program is refused: {message}"
    );
    std::fs::write(&file, "roles = [\"staff\"]\n[tables.forms]\n").unwrap();
    assert!(good(tidelog(dir.path()).args(["catalog", "check"]).arg(&file)).starts_with("ok: 1 tables"));
}

#[test]
fn errors_are_one_line_that_names_the_way_out() {
    let dir = data_dir();
    let message = bad(tidelog(dir.path()).arg("status"));
    assert!(message.contains("tidelog serve") && message.contains("--database-url"), "{message}");
    let message =
        bad(tidelog(dir.path()).args(["status", "--database-url", "postgresql://127.0.0.1:1/none?connect_timeout=2"]));
    assert!(message.starts_with("tidelog: "), "{message}");
    let message = bad(tidelog(dir.path()).args(["serve", "--catalog", "/nowhere.toml"]));
    assert!(message.contains("/nowhere.toml"), "{message}");
    let server = serve(dir.path(), &[]);
    let message =
        bad(tidelog(dir.path()).args(["workspace", "create"]).args(["x"]).arg("--database-url").arg("nonsense"));
    assert!(message.starts_with("tidelog: "), "{message}");
    let message = bad(tidelog(dir.path()).args(["device", "list", "--workspace", "nobody"]));
    assert!(message.contains("tidelog workspace list"), "{message}");
    let message = bad(tidelog(dir.path()).args(["--log", "error", "serve", "--listen", "127.0.0.1:0"]));
    assert!(message.contains("already") || message.contains("running"), "two servers on one directory: {message}");
    let error: Json =
        serde_json::from_str(&bad(tidelog(dir.path()).args(["device", "list", "--workspace", "nobody", "--json"])))
            .unwrap();
    assert!(error["error"].is_string());
    let other = data_dir();
    let address = server.url.strip_prefix("http://").unwrap();
    let message = bad(tidelog(other.path()).args(["--log", "error", "serve", "--listen", address]));
    assert!(message.contains("cannot listen") && message.contains("--listen"), "{message}");
    server.stop();
}

/// Runs `serve` for a moment, and returns the line of its log that names its workers.
fn workers_of(command: &mut Command) -> String {
    command.args(["--listen", "127.0.0.1:0", "--log", "tidelog=debug"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = log.find(|line| line.contains("the server has started")).expect("the server starts");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    // Read to the end, so that a full pipe does not hold the server up.
    log.for_each(drop);
    assert!(child.wait().unwrap().success());
    line
}

#[test]
fn options_and_variables_of_before_0_2_work_are_not_in_the_help_and_give_way_to_the_new_ones() {
    let dir = data_dir();
    let help = good(tidelog(dir.path()).args(["serve", "--help"]));
    for name in ["append-workers", "projector-workers", "TIDELOG_APPEND_WORKERS", "TIDELOG_PROJECTOR_WORKERS"] {
        assert!(help.contains(name), "{name} in {help}");
    }
    assert!(!help.to_lowercase().contains("lanes"), "{help}");
    let has = |line: &str, append: u32, projector: u32| {
        let expected = [format!("config.append_workers={append} "), format!("config.projector_workers={projector} ")];
        assert!(expected.iter().all(|part| line.contains(part)), "{expected:?} in {line}");
    };
    has(&workers_of(tidelog(dir.path()).args(["serve", "--append-lanes", "5", "--projector-lanes", "2"])), 5, 2);
    let variables = [("TIDELOG_APPEND_LANES", "6"), ("TIDELOG_PROJECTOR_LANES", "4")];
    has(&workers_of(tidelog(dir.path()).envs(variables).arg("serve")), 6, 4);
    has(&workers_of(tidelog(dir.path()).envs(variables).args(["serve", "--append-workers", "7"])), 7, 4);
    has(&workers_of(tidelog(dir.path()).envs(variables).env("TIDELOG_PROJECTOR_WORKERS", "1").arg("serve")), 6, 1);
}

#[test]
fn a_database_that_is_not_durable_is_refused_without_the_option_for_it() {
    let dir = data_dir();
    let server = serve(dir.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Set in the database and not by the launcher, as an operator of an external database might do.
    runtime.block_on(async {
        let cluster = tidelog_embedded::Cluster::attach(dir.path()).unwrap().unwrap();
        let config: tokio_postgres::Config = cluster.url("tidelog").parse().unwrap();
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client.batch_execute("ALTER DATABASE tidelog SET synchronous_commit = off").await.unwrap();
    });
    server.stop();
    let message = bad(tidelog(dir.path()).args(["--log", "error", "serve", "--listen", "127.0.0.1:0"]));
    assert!(message.contains("synchronous_commit=off"), "{message}");
    assert!(message.contains("--allow-unsafe-durability"), "{message}");
    serve(dir.path(), &["--allow-unsafe-durability"]).stop();
}

#[test]
fn the_admin_listener_exists_only_with_its_option() {
    let dir = data_dir();
    let server = serve(dir.path(), &["--admin-listen", "127.0.0.1:0"]);
    let admin = server.lines.iter().find_map(|line| line.strip_prefix("admin on ")).unwrap().to_owned();
    let token = good(tidelog(dir.path()).args(["key", "create", "--admin"]));
    let token = token.trim();
    let created: Json = serde_json::from_str(&shell(&format!(
        "curl -s {admin}/admin/v1/workspaces -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{\"name\":\"acme\"}}'"
    )))
    .unwrap();
    assert!(created["keys"]["member"].is_string(), "{created}");
    let list = shell(&format!("curl -s {admin}/admin/v1/workspaces -H 'Authorization: Bearer {token}'"));
    assert!(list.contains("acme"), "{list}");
    let device: Json = serde_json::from_str(&shell(&format!(
        "curl -s {}/api/v1/devices -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{{\"name\":\"till\"}}'",
        server.url,
        created["keys"]["member"].as_str().unwrap()
    )))
    .unwrap();
    let (workspace, device) = (created["workspace"].as_str().unwrap(), device["device"].as_str().unwrap());
    let changed = shell(&format!(
        "curl -s -X PATCH {admin}/admin/v1/workspaces/{workspace}/devices/{device} -H 'Authorization: Bearer {token}' \
            -H 'Content-Type: application/json' -d '{{\"scopes\":[\"store-1\"]}}'"
    ));
    assert!(changed.contains("store-1"), "{changed}");
    let unknown = shell(&format!(
        "curl -s -X PATCH {admin}/admin/v1/workspaces/{device}/devices/{device} -H 'Authorization: Bearer {token}' \
            -H 'Content-Type: application/json' -d '{{}}'"
    ));
    assert!(unknown.contains("not_found"), "{unknown}");
    let refused = shell(&format!(
        "curl -s {admin}/admin/v1/workspaces -H 'Authorization: Bearer {}'",
        created["keys"]["member"].as_str().unwrap()
    ));
    assert!(refused.contains("forbidden"), "{refused}");
    let absent = shell(&format!("curl -s {}/admin/v1/workspaces -H 'Authorization: Bearer {token}'", server.url));
    assert!(absent.contains("not_found"), "{absent}");
    assert!(shell(&format!("curl -s {admin}/metrics")).contains("tidelog_projector_lag_events"));
    server.stop();
}

#[test]
fn logs_are_json_lines_with_the_request_id_of_gateway_append_and_projector_and_no_secrets() {
    let dir = data_dir();
    let mut server = serve(dir.path(), &["--demo", "--log-format", "json", "--log", "debug"]);
    let line = server.read_to("TOKEN=");
    let push = server
        .read_to("curl -s")
        .replace("curl -s", "curl -s -H 'X-Request-Id: story-7'")
        .replace("\"fields\":{}", "\"fields\":{\"canary\":\"q7x\"}");
    shell(&format!("{line}\n{push}\nsleep 1"));
    let log = server.stop();
    let lines: Vec<Json> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    let with_id = |target: &str| {
        lines
            .iter()
            .any(|line| line["target"].as_str().unwrap().starts_with(target) && line.to_string().contains("story-7"))
    };
    assert!(
        with_id("tidelog_gateway::http::middleware")
            && with_id("tidelog_gateway::push::append_worker")
            && with_id("tidelog_projector"),
        "{log}"
    );
    for secret in ["tlk_", "tld_", "q7x"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
