//! Which crate may depend on which, and where SQL, HTTP and I/O may be.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::sources::{SOURCES, Source, root};
use crate::{assert_caught, assert_none};

/// What each of our crates may depend on among our crates. In tests each may use the testkit as well.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("tidelog-core", &[]),
    ("tidelog-engine", &["tidelog-core"]),
    ("tidelog-sim", &["tidelog-core", "tidelog-engine"]),
    ("tidelog-postgres", &["tidelog-core"]),
    ("tidelog-gateway", &["tidelog-core", "tidelog-postgres"]),
    ("tidelog-projector", &["tidelog-core", "tidelog-postgres"]),
    ("tidelog-embedded", &[]),
    ("tidelog", &["tidelog-core", "tidelog-embedded", "tidelog-gateway", "tidelog-postgres", "tidelog-projector"]),
    ("tidelog-load", &["tidelog-core", "tidelog-embedded"]),
    ("tidelog-testkit", &["tidelog", "tidelog-core", "tidelog-embedded", "tidelog-gateway", "tidelog-postgres"]),
];

/// Crates that perform no I/O and read neither clock nor environment.
const PURE: [&str; 14] = [
    "base64",
    "bytes",
    // Its hashing is seeded by chance, but its order is that of insertion.
    "indexmap",
    "rmp",
    "rmp-serde",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "thiserror",
    "time",
    "toml",
    "utoipa",
    "uuid",
    "xxhash-rust",
];

/// What core and the client engine may not name (CORE-1).
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "async fn",
    "rand::",
];

/// A crate's dependencies as cargo sees them.
#[derive(Default)]
struct Dependencies {
    ours: BTreeSet<String>,
    others: BTreeSet<String>,
    /// Our crates that its tests depend on.
    ours_in_tests: BTreeSet<String>,
}

impl Dependencies {
    fn of(package: &serde_json::Value) -> Self {
        let mut dependencies = Self::default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap().to_owned();
            match (dependency["kind"].as_str(), name.starts_with("tidelog")) {
                (Some("dev"), true) => dependencies.ours_in_tests.insert(name),
                (None, true) => dependencies.ours.insert(name),
                (None, false) => dependencies.others.insert(name),
                _ => false,
            };
        }
        dependencies
    }
}

/// The dependencies of each of our crates.
fn dependencies() -> BTreeMap<String, Dependencies> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), Dependencies::of(package))).collect()
}

fn forbidden_dependencies(name: &str, dependencies: &Dependencies) -> Vec<String> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("{name} is not in the table of crates")];
    };
    let normal = dependencies.ours.iter().filter(|ours| !allowed.contains(&ours.as_str()));
    let in_tests = dependencies.ours_in_tests.iter();
    let in_tests = in_tests.filter(|ours| *ours != "tidelog-testkit" && !allowed.contains(&ours.as_str()));
    normal.chain(in_tests).map(|ours| format!("{name} may not depend on {ours}")).collect()
}

fn impure_dependencies(dependencies: &Dependencies) -> Vec<String> {
    let impure = dependencies.others.iter().filter(|other| !PURE.contains(&other.as_str()));
    impure.map(|other| format!("CORE-1: is {other} pure? then list it")).collect()
}

fn impure_words(source: &Source) -> Vec<String> {
    let words = IMPURE.iter().filter(|word| source.text.contains(*word));
    words.map(|word| format!("CORE-1: {word} in {}", source.path)).collect()
}

/// SQL outside its crate, HTTP outside its crate, or a refusal's status outside the one file that maps errors to statuses.
fn misplaced(source: &Source) -> Vec<String> {
    let Source { path, text, .. } = source;
    if path.contains("/tests/") || path.contains("testkit") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    // What the benchmark compares the server with is SQL by itself.
    let may_have_sql = path.starts_with("services/postgres")
        || path.ends_with("cli/connect.rs")
        || path.starts_with("load-tests/src/bench");
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    for statement in ["SELECT ", "INSERT INTO", "UPDATE tidelog", "DELETE FROM"] {
        if !may_have_sql && text.lines().any(|line| !is_comment(line) && line.contains(statement)) {
            faults.push(format!("{statement:?} in {path}"));
        }
    }
    let may_have_http = path.starts_with("services/gateway") || path.starts_with("load-tests");
    if !may_have_http && (text.contains("StatusCode") || text.contains("HttpResponse")) {
        faults.push(format!("HTTP in {path}"));
    }
    let refuses = text.contains("StatusCode::BAD") || text.contains("StatusCode::INTERNAL");
    if path.starts_with("services/gateway") && !path.ends_with("/error.rs") && refuses {
        faults.push(format!("a refusal's status in {path}"));
    }
    faults
}

#[test]
fn dependencies_run_one_way() {
    let dependencies = dependencies();
    assert_eq!(dependencies.len(), ALLOWED.len(), "a crate of the table is gone");
    let faults = dependencies.iter().flat_map(|(name, dependencies)| forbidden_dependencies(name, dependencies));
    assert_none(&faults.collect::<Vec<_>>());
}

#[test]
fn core_and_the_client_engine_are_pure() {
    let dependencies = dependencies();
    for (name, folder) in [("tidelog-core", "services/core/src/"), ("tidelog-engine", "clients/engine/src/")] {
        assert_none(&impure_dependencies(&dependencies[name]));
        let mut sources = SOURCES.iter().filter(|source| source.path.starts_with(folder)).peekable();
        assert!(sources.peek().is_some(), "{folder} is gone");
        assert_none(&sources.flat_map(impure_words).collect::<Vec<_>>());
    }
}

#[test]
fn sql_lives_in_postgres_and_http_in_the_gateway() {
    assert_none(&SOURCES.iter().flat_map(misplaced).collect::<Vec<_>>());
}

#[test]
fn a_dependency_that_runs_back_is_caught() {
    let package = serde_json::json!({"dependencies": [
        {"name": "tidelog-postgres", "kind": null},
        {"name": "tidelog-gateway", "kind": "dev"},
        {"name": "tidelog-testkit", "kind": "dev"},
        {"name": "tokio", "kind": null},
        {"name": "serde", "kind": null},
        {"name": "proptest", "kind": "dev"},
    ]});
    let core = Dependencies::of(&package);
    let expected =
        ["tidelog-core may not depend on tidelog-postgres", "tidelog-core may not depend on tidelog-gateway"];
    assert_caught(&forbidden_dependencies("tidelog-core", &core), &expected);
    assert_caught(&impure_dependencies(&core), &["is tokio pure?"]);
    assert_caught(&forbidden_dependencies("tidelog-new", &core), &["is not in the table"]);
}

#[test]
fn what_is_impure_or_out_of_place_is_caught() {
    for word in IMPURE {
        let source = Source { text: format!("fn f() {{ {word} }}"), ..Source::parse("a.rs", "") };
        assert_caught(&impure_words(&source), &["CORE-1"]);
    }
    let faults = |path: &str, text: &str| misplaced(&Source::parse(path, text));
    let sql = r#"const SQL: &str = "SELECT 1";"#;
    assert_caught(&faults("services/gateway/src/a.rs", sql), &["\"SELECT \" in"]);
    assert_none(&faults("services/postgres/src/a.rs", sql));
    assert_none(&faults("services/gateway/src/a.rs", "// SELECT in a comment"));
    let refusal = "const REFUSED: StatusCode = StatusCode::BAD_REQUEST;";
    assert_caught(&faults("services/projector/src/a.rs", refusal), &["HTTP in"]);
    assert_caught(&faults("services/gateway/src/a.rs", refusal), &["a refusal's status in"]);
    assert_none(&faults("services/gateway/src/http/error.rs", refusal));
}
