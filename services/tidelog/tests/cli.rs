//! The command line as an operator uses it: the real binary, an embedded Postgres, other commands beside a running server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tidelog_testkit::{Serving, tidelog_command};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");

/// A command of its own environment, whatever the caller's is.
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

/// A failure says why, on one line.
#[track_caller]
fn bad(command: &mut Command) -> String {
    let output = run(command);
    assert!(!output.status.success(), "it should fail: {}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
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
    assert_eq!((&pushed["last_seq"], pushed["rejected"].as_array().unwrap().len()), (&Json::from(1), 0));
    let pulled: Json = serde_json::from_str(answers.next().unwrap()).unwrap();
    assert_eq!(pulled["events"].as_array().unwrap().len(), 2);
    server.stop();

    let mut server = serve(dir.path(), &["--demo"]);
    let lines = ["TOKEN=", "curl -s", "curl -s"].map(|start| server.read_to(start));
    let answers = shell(&lines.join("\necho\n"));
    let pulled: Json = serde_json::from_str(answers.lines().last().unwrap()).unwrap();
    assert_eq!(
        pulled["events"].as_array().unwrap().len(),
        3,
        "a later start has a key too, and the data is still there"
    );
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
    assert_eq!(devices["devices"][0]["name"], "till", "global options stand before the subcommand too");
    let table = good(tidelog(dir.path()).args(["device", "list", "--workspace", &workspace]));
    assert!(table.contains("DEVICE") && table.contains("till") && table.contains("active"), "{table}");
    let id = device["device"].as_str().unwrap();
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
    assert!(shell(&register).contains("token_invalid"), "a revoked key registers nobody");
    assert!(good(tidelog(dir.path()).args(["key", "list", "--workspace", "acme"])).contains("true"));
    assert!(good(tidelog(dir.path()).args(["key", "create", "--admin"])).starts_with("tldm_"));
    let status = good_json(tidelog(dir.path()).args(["status", "--json"]));
    assert_eq!((&status["workspaces"][0]["name"], &status["catalog"]), (&Json::from("acme"), &Json::from(1)));
    server.stop();
    let status = good(tidelog(dir.path()).arg("status"));
    assert!(status.contains("acme"), "and without a server the command starts Postgres meanwhile: {status}");
}

#[test]
fn the_catalog_in_force_stays_until_another_is_applied() {
    let dir = data_dir();
    let (first, second) = (dir.path().join("first.toml"), dir.path().join("second.toml"));
    std::fs::write(&first, "roles = [\"staff\"]\n[tables.forms]\n").unwrap();
    std::fs::write(&second, "roles = [\"staff\", \"boss\"]\n[tables.forms]\n").unwrap();
    let server = serve(dir.path(), &["--catalog", first.to_str().unwrap()]);
    assert!(good(tidelog(dir.path()).args(["catalog", "show"])).contains("[tables.forms]"));
    let said = server.stop();
    assert!(!said.contains("WARN"), "{said}");
    let server = serve(dir.path(), &["--catalog", second.to_str().unwrap()]);
    let created = good_json(tidelog(dir.path()).args(["workspace", "create", "x", "--json"]));
    assert_eq!(created["keys"].as_object().unwrap().len(), 1, "the one in force stays");
    let applied = good_json(tidelog(dir.path()).args(["catalog", "apply", second.to_str().unwrap(), "--json"]));
    assert_eq!((&applied["version"], &applied["changed"]), (&Json::from(2), &Json::from(true)));
    let again = good_json(tidelog(dir.path()).args(["catalog", "apply", second.to_str().unwrap(), "--json"]));
    assert_eq!((&again["version"], &again["changed"]), (&Json::from(2), &Json::from(false)));
    let said = server.stop();
    assert!(said.contains("WARN") && said.contains("second.toml"), "{said}");
}

#[test]
fn faults_of_a_catalog_are_told_by_line_and_column() {
    let dir = data_dir();
    let file = dir.path().join("bad.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        bad(tidelog(dir.path()).args(["catalog", "check"]).arg(&file))
    };
    let said = check("roles = [\"staff\"]\n[tables.forms]\nwriet = [\"staff\"]\n");
    assert!(said.contains("line 3, column 1") && said.contains("writet") | said.contains("writ"), "{said}");
    let said = check("roles = [\"staff\"]\n[tables.forms]\nwrite = [\"boss\"]\n");
    assert!(said.contains("line 3") && said.contains("boss"), "{said}");
    let said = check("roles = [\"staff\"]\n[tables.forms.fields.n]\nrule = \"custom\"\nname = \"mine\"\n");
    assert!(said.contains("no resolver named \"mine\""), "a rule that this program does not have is refused: {said}");
    std::fs::write(&file, "roles = [\"staff\"]\n[tables.forms]\n").unwrap();
    assert!(good(tidelog(dir.path()).args(["catalog", "check"]).arg(&file)).starts_with("ok: 1 tables"));
}

#[test]
fn errors_are_one_line_that_names_the_way_out() {
    let dir = data_dir();
    let said = bad(tidelog(dir.path()).arg("status"));
    assert!(said.contains("tidelog serve") && said.contains("--database-url"), "{said}");
    let said =
        bad(tidelog(dir.path()).args(["status", "--database-url", "postgresql://127.0.0.1:1/none?connect_timeout=2"]));
    assert!(said.starts_with("tidelog: "), "{said}");
    let said = bad(tidelog(dir.path()).args(["serve", "--catalog", "/nowhere.toml"]));
    assert!(said.contains("/nowhere.toml"), "{said}");
    let server = serve(dir.path(), &[]);
    let said = bad(tidelog(dir.path()).args(["workspace", "create"]).args(["x"]).arg("--database-url").arg("nonsense"));
    assert!(said.starts_with("tidelog: "), "{said}");
    let said = bad(tidelog(dir.path()).args(["device", "list", "--workspace", "nobody"]));
    assert!(said.contains("tidelog workspace list"), "{said}");
    let said = bad(tidelog(dir.path()).args(["--log", "error", "serve", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("already") || said.contains("running"), "two servers on one directory: {said}");
    let error: Json =
        serde_json::from_str(&bad(tidelog(dir.path()).args(["device", "list", "--workspace", "nobody", "--json"])))
            .unwrap();
    assert!(error["error"].is_string());
    let other = data_dir();
    let address = server.url.strip_prefix("http://").unwrap();
    let said = bad(tidelog(other.path()).args(["--log", "error", "serve", "--listen", address]));
    assert!(said.contains("cannot listen") && said.contains("--listen"), "{said}");
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
fn a_database_that_is_not_durable_is_refused_unless_named_so() {
    let dir = data_dir();
    serve(dir.path(), &[]).stop();
    // Behind the launcher's back, as an operator of an external database might have it.
    let status = || bad(tidelog(dir.path()).args(["--log", "error", "serve", "--listen", "127.0.0.1:0"]));
    let settings = dir.path().join("postgres/postgresql.auto.conf");
    let output = run(tidelog(dir.path()).arg("status"));
    assert!(output.status.success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = serve(dir.path(), &[]);
    runtime.block_on(async {
        let cluster = tidelog_embedded::Cluster::attach(dir.path()).unwrap().unwrap();
        let config: tokio_postgres::Config = cluster.url("tidelog").parse().unwrap();
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client.batch_execute("ALTER DATABASE tidelog SET synchronous_commit = off").await.unwrap();
    });
    server.stop();
    let said = status();
    assert!(
        said.contains("synchronous_commit=off") && said.contains("--allow-unsafe-durability"),
        "{said} {settings:?}"
    );
    serve(dir.path(), &["--allow-unsafe-durability"]).stop();
}

#[test]
fn the_admin_listener_is_there_only_if_asked_for() {
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
    let said = server.stop();
    let lines: Vec<Json> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let with_id = |target: &str| {
        lines
            .iter()
            .any(|line| line["target"].as_str().unwrap().starts_with(target) && line.to_string().contains("story-7"))
    };
    assert!(
        with_id("tidelog_gateway::http::middleware")
            && with_id("tidelog_gateway::push::append_worker")
            && with_id("tidelog_projector"),
        "{said}"
    );
    for secret in ["tlk_", "tld_", "q7x"] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}
