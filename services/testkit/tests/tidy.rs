//! The house of docs/ARCHITECTURE.md, kept: who may depend on whom, how large a file may be, what may not be left lying about.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file at most.
const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Normal dependencies on crates of ours, on others, and ours for tests.
type Edges = (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>);

/// The dependencies of each of our crates on others of ours, as cargo sees them: normal ones, and those for tests.
fn edges() -> BTreeMap<String, Edges> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut edges = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (mut ours, mut others, mut for_tests) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap().to_owned();
            match (dependency["kind"].as_str(), name.starts_with("tidelog")) {
                (Some("dev"), true) => for_tests.insert(name),
                (None, true) => ours.insert(name),
                (None, false) => others.insert(name),
                _ => false,
            };
        }
        edges.insert(package["name"].as_str().unwrap().to_owned(), (ours, others, for_tests));
    }
    edges
}

#[test]
fn dependencies_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("tidelog-core", &[][..]),
        ("tidelog-postgres", &["tidelog-core"]),
        ("tidelog-gateway", &["tidelog-core", "tidelog-postgres"]),
        ("tidelog-projector", &["tidelog-core", "tidelog-postgres"]),
        ("tidelog-embedded", &[]),
        ("tidelog", &["tidelog-core", "tidelog-embedded", "tidelog-gateway", "tidelog-postgres", "tidelog-projector"]),
        ("tidelog-load", &["tidelog-core", "tidelog-embedded"]),
        ("tidelog-testkit", &["tidelog", "tidelog-core", "tidelog-embedded", "tidelog-gateway", "tidelog-postgres"]),
    ]);
    let edges = edges();
    assert_eq!(edges.keys().map(String::as_str).collect::<Vec<_>>(), allowed.keys().copied().collect::<Vec<_>>());
    for (name, (ours, _, for_tests)) in &edges {
        let allowed: BTreeSet<String> = allowed[name.as_str()].iter().map(|name| (*name).to_owned()).collect();
        let more: Vec<_> = ours.difference(&allowed).collect();
        assert!(more.is_empty(), "{name} may not depend on {more:?}");
        let only_testkit = for_tests.iter().all(|name| name == "tidelog-testkit" || allowed.contains(name));
        assert!(only_testkit, "{name} tests with {for_tests:?}");
    }
}

#[test]
fn core_is_pure() {
    let (_, others, _) = edges().remove("tidelog-core").unwrap();
    let pure = [
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
    for dependency in others {
        assert!(pure.contains(&dependency.as_str()), "CORE-1: is {dependency} pure? then list it here");
    }
    let forbidden = [
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
    for (path, text) in sources("services/core/src") {
        for word in forbidden {
            assert!(!text.contains(word), "CORE-1: {word} in {}", path.display());
        }
    }
}

#[test]
fn sql_lives_in_postgres_and_http_in_the_gateway() {
    for (path, text) in sources("services").chain(sources("load-tests")) {
        let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_test = place.contains("/tests/") || place.contains("testkit");
        // What the benchmark measures against is SQL by itself.
        let may_sql = place.starts_with("services/postgres")
            || place.ends_with("cli/connect.rs")
            || place.starts_with("load-tests/src/bench");
        let statements = ["SELECT ", "INSERT INTO", "UPDATE tidelog", "DELETE FROM"];
        let sql = statements.iter().find(|word| text.lines().any(|line| !is_comment(line) && line.contains(*word)));
        assert!(is_test || may_sql || sql.is_none(), "{sql:?} in {place}");
        let is_http = text.contains("StatusCode") || text.contains("HttpResponse");
        let may_http = place.starts_with("services/gateway") || place.starts_with("load-tests");
        assert!(is_test || may_http || !is_http, "HTTP in {place}");
        let knows_status = text.contains("StatusCode::") && !place.ends_with("/error.rs");
        let only_success = !text.contains("StatusCode::BAD") && !text.contains("StatusCode::INTERNAL");
        assert!(
            is_test || !place.starts_with("services/gateway") || !knows_status || only_success,
            "a refusal's status in {place}"
        );
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[test]
fn files_stay_small_and_whole() {
    let holes = ["todo!(", "unimplemented!(", "FIXME", "dbg!(", "#[ignore"];
    for (path, text) in sources("services").chain(sources("load-tests")) {
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines: split it by concept", path.display());
        for hole in holes {
            assert!(path.ends_with("tidy.rs") || !text.contains(hole), "{hole} in {}", path.display());
        }
    }
}

#[test]
fn every_statement_says_what_it_does() {
    let mut count = 0;
    for (path, text) in files("services/postgres/sql", "sql") {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("-- ") && first.len() > 15, "{}", path.display());
        let name = path.strip_prefix(root().join("services/postgres")).unwrap().to_string_lossy().into_owned();
        let used = sources("services/postgres/src").any(|(_, source)| source.contains(&format!("../{name}")));
        assert!(used, "{name} is used by nobody");
        count += 1;
    }
    assert!(count > 20);
}

fn sources(under: &str) -> impl Iterator<Item = (PathBuf, String)> {
    files(under, "rs")
}

fn files(under: &str, extension: &'static str) -> impl Iterator<Item = (PathBuf, String)> {
    let mut left = vec![root().join(under)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    found.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    })
}
