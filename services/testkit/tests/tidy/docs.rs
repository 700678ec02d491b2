//! Names in backticks in the documents exist.

use crate::known::STALE_NAMES;
use crate::names::Names;
use crate::sources::{files, read};
use crate::{assert_caught, assert_none};

/// Folders whose documents may name what is gone, each with its reason.
const HISTORY: [(&str, &str); 2] = [
    ("docs/adr/", "a decision is written in the words of its day"),
    ("docs/performance/", "notes of measurements name what was measured"),
];

/// An inline code span: what is between backticks in running text.
struct CodeSpan {
    line: usize,
    text: String,
}

/// The inline code spans of a Markdown document. Fenced blocks are left out: they are commands, answers and pictures.
fn code_spans(document: &str) -> Vec<CodeSpan> {
    let mut spans = Vec::new();
    // The span that is open: the number of its backticks, the line where it began, and its text so far.
    let mut open: Option<(usize, CodeSpan)> = None;
    let mut is_fenced = false;
    for (index, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            open = None;
            continue;
        }
        if is_fenced {
            continue;
        }
        // A span ends with its paragraph at the latest.
        if line.trim().is_empty() {
            open = None;
        }
        let mut rest = line;
        while let Some(at) = rest.find('`') {
            let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            let (before, after) = (&rest[..at], &rest[at + ticks..]);
            open = match open {
                None => Some((ticks, CodeSpan { line: index + 1, text: String::new() })),
                Some((opened, mut span)) if opened == ticks => {
                    span.text.push_str(before);
                    spans.push(span);
                    None
                }
                Some((opened, mut span)) => {
                    span.text.push_str(&rest[..at + ticks]);
                    Some((opened, span))
                }
            };
            rest = after;
        }
        if let Some((_, span)) = &mut open {
            span.text.push_str(rest);
            span.text.push(' ');
        }
    }
    spans
}

/// Every name in a document's code spans that does not exist.
fn unknown_names(path: &str, document: &str, names: &Names) -> Vec<String> {
    let spans = code_spans(document).into_iter().filter(|span| !STALE_NAMES.contains(&span.text.as_str()));
    let faults = spans.flat_map(|span| {
        let faults = names.unknown_in(&span.text).into_iter();
        faults.map(move |fault| format!("{path}:{}: `{}`: {fault}", span.line, span.text)).collect::<Vec<_>>()
    });
    faults.collect()
}

#[test]
fn names_in_documents_exist() {
    let names = Names::of_repository();
    let mut documents = files("docs", "md");
    documents.retain(|(path, _)| !HISTORY.iter().any(|(folder, _)| path.starts_with(folder)));
    assert!(documents.len() >= 6, "the documents have moved");
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|path| (path.to_owned(), read(path))));
    let faults = documents.iter().flat_map(|(path, document)| unknown_names(path, document, &names));
    assert_none(&faults.collect::<Vec<_>>());
}

#[test]
fn code_spans_are_found() {
    let document =
        "One `a` and ``b ` c``.\n```sh\nnot `this`\n```\nOver two `lines\nof text`.\n\nAn open ` ends here.\n\n`e`";
    let spans: Vec<_> = code_spans(document).into_iter().map(|span| (span.line, span.text)).collect();
    let expected = [(1, "a"), (1, "b ` c"), (5, "lines of text"), (10, "e")];
    assert_eq!(spans, expected.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn a_name_that_is_gone_is_caught() {
    let names = Names::of_repository();
    let faults = |span: &str| unknown_names("README.md", &format!("See `{span}`."), &names);
    let exist = [
        "services/core/src/limits.rs",
        "core/src/limits.rs",
        "limits.rs",
        "services/core",
        "services/",
        "make test",
        "TIDELOG_LISTEN",
        "--listen ADDRESS",
        "tidelog_push_duration_seconds",
        "tidelog_push_duration_seconds_count",
        "Folder::fold",
        "WorkspaceId",
        "metrics!",
        "mark_unchanged()",
        "seq_gap",
        "tidelog.log",
        "GET /sync/pull?after=1",
        "tidelog catalog apply FILE",
    ];
    for span in exist {
        assert_none(&faults(span));
    }
    let gone = [
        "services/core/src/vanished.rs",
        "core/src/vanished.rs",
        "vanished_file.rs",
        "services/vanished",
        "make vanish",
        "TIDELOG_VANISHED",
        "--vanished-flag ADDRESS",
        "tidelog_vanished_total",
        "Folder::vanish",
        "VanishedType",
        "vanished_macro!",
        "vanished_function()",
        "vanished_code",
        "tidelog.vanished",
        "GET /sync/vanished?after=1",
        "tidelog vanish",
    ];
    for span in gone {
        assert_caught(&faults(span), &[&format!("README.md:1: `{span}`")]);
    }
}
