//! What a command says when something is wrong, and with which exit code it ends.

use std::net::TcpListener;
use std::process::Command;

use crate::{TIDELOG, bad, data_dir, run, serve, tidelog};

#[test]
fn a_second_server_names_the_process_that_an_operator_may_stop() {
    let dir = data_dir();
    let server = serve(dir.path(), &[]);
    let message = bad(tidelog(dir.path()).args(["--log", "error", "serve", "--listen", "127.0.0.1:0"]));
    assert!(message.contains(&format!("(pid {})", server.pid())), "{message}");
    server.stop();
}

#[test]
fn a_database_without_the_schema_asks_for_a_migration() {
    let dir = data_dir();
    let server = serve(dir.path(), &[]);
    let socket = dir.path().join("socket");
    let url = format!("postgresql:///postgres?host={}&user=tidelog", socket.display());
    for command in [&["status"][..], &["workspace", "list"], &["catalog", "show"], &["rebuild", "status"]] {
        let message = bad(tidelog(dir.path()).args(command).args(["--database-url", &url]));
        assert!(message.contains("run `tidelog migrate`"), "{command:?}: {message}");
    }
    server.stop();
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_its_port_and_the_cause() {
    let dir = data_dir();
    let url = "postgresql://ada:secret@127.0.0.1:1/none?connect_timeout=2";
    for command in [&["status"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
        let message = bad(tidelog(dir.path()).args(["--log", "error"]).args(command).args(["--database-url", url]));
        assert!(message.contains("127.0.0.1:1") && message.contains("refused"), "{command:?}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_port_in_use_is_found_before_a_cluster_is_created() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin-listen"] {
        let dir = data_dir();
        let others = ["--log", "error", "serve", "--listen", "127.0.0.1:0"];
        let arguments = if option == "--listen" { &others[..3] } else { &others[..] };
        let message = bad(tidelog(dir.path()).args(arguments).args([option, &address]));
        assert!(message.contains("cannot listen") && message.contains(option), "{message}");
        assert!(!dir.path().join("postgres").exists(), "a cluster was created");
    }
}

#[test]
fn an_address_may_name_its_host() {
    let dir = data_dir();
    let server = serve(dir.path(), &["--listen", "localhost:0"]);
    server.stop();
}

#[test]
fn a_reader_that_has_enough_ends_a_command_quietly() {
    let script = format!("set -o pipefail; {TIDELOG} openapi | head -c 10 > /dev/null");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_value_of_an_option_ends_with_2() {
    let dir = data_dir();
    let wrong: &[&[&str]] = &[
        &["serve", "--listen", "8080"],
        &["serve", "--listen", "no host:80"],
        &["serve", "--roles", "both"],
        &["serve", "--pool-size", "1"],
        &["serve", "--trusted-proxy", "example"],
        &["status", "--log", "tidelog=loud"],
        &["key", "create", "--workspace", "w", "--role", "no role"],
        &["key", "create", "--workspace", "w", "--role", "staff", "--expires-in", "soon"],
        &["key", "create", "--workspace", "w", "--role", "staff", "--uses", "0"],
        &["key", "revoke", "--workspace", "w", "mine"],
        &["device", "revoke", "--workspace", "w", "mine"],
        &["rejected", "list", "--workspace", "w", "--code", "none"],
        &["replay", "--workspace", "w", "--as-of", "before"],
        &["completions", "cmd"],
        &["serve", "--config", "/nowhere.toml"],
    ];
    for command in wrong {
        let output = run(tidelog(dir.path()).args(*command));
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_readmission_that_readmits_nothing_fails() {
    let dir = data_dir();
    let server = serve(dir.path(), &[]);
    crate::good(tidelog(dir.path()).args(["workspace", "create", "shop"]));
    let message =
        bad(tidelog(dir.path()).args(["rejected", "readmit", "--workspace", "shop", "--all", "--code", "field_type"]));
    assert!(message.contains("no op was readmitted"), "{message}");
    server.stop();
}
