//! Nothing is left unfinished, and each SQL statement says what it does and is used.

use crate::sources::{SOURCES, Source, files};
use crate::{assert_caught, assert_none};

/// Words that stand for work still to be done. They are built here, so that this file does not contain them.
fn unfinished_words() -> Vec<String> {
    let parts = [
        ("to", "do!("),
        ("unimple", "mented!("),
        ("FIX", "ME"),
        ("db", "g!("),
        ("#[ign", "ore"),
        ("#[should_", "panic"),
    ];
    parts.iter().map(|(start, end)| format!("{start}{end}")).collect()
}

fn unfinished(source: &Source) -> Vec<String> {
    let words = unfinished_words().into_iter().filter(|word| source.text.contains(word));
    words.map(|word| format!("{word} in {}", source.path)).collect()
}

/// What is wrong with an SQL statement: no first line that says what it does, or no code that includes the file.
fn faults_of_statement(path: &str, text: &str, rust: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("-- ") || first.len() <= 15 {
        faults.push(format!("{path} does not begin with a comment that says what it does"));
    }
    let below_sql = path.split_once("/sql/").map_or(path, |(_, below)| below);
    if !rust.iter().any(|source| source.literals.iter().any(|literal| literal.contains(&format!("/sql/{below_sql}\""))))
    {
        faults.push(format!("{path} is not included by any code"));
    }
    faults
}

#[test]
fn nothing_is_left_unfinished() {
    assert_none(&SOURCES.iter().flat_map(unfinished).collect::<Vec<_>>());
}

#[test]
fn every_statement_says_what_it_does_and_is_used() {
    let statements = files("services/postgres/sql", "sql");
    assert!(statements.len() > 20, "the statements have moved");
    let faults = statements.iter().flat_map(|(path, text)| faults_of_statement(path, text, &SOURCES));
    assert_none(&faults.collect::<Vec<_>>());
}

#[test]
fn what_is_left_unfinished_is_caught() {
    for word in unfinished_words() {
        let source = Source { text: format!("fn f() {{ {word} }}"), ..Source::parse("a.rs", "") };
        assert_caught(&unfinished(&source), &["in a.rs"]);
    }
}

#[test]
fn a_statement_without_purpose_or_use_is_caught() {
    let path = "services/postgres/sql/log/read.sql";
    let code = [Source::parse("a.rs", r#"const READ: &str = include_str!("../../sql/log/read.sql");"#)];
    assert_none(&faults_of_statement(path, "-- Reads a page of a log.\nSELECT 1", &code));
    assert_caught(&faults_of_statement(path, "SELECT 1", &code), &["does not begin"]);
    assert_caught(&faults_of_statement(path, "-- Reads a page of a log.", &[]), &["is not included"]);
}
