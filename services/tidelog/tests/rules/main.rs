//! docs/RULES.md: each rule with an example that a real server plays.
//!
//! `TIDELOG_WRITE_RULES=1 cargo test -p tidelog --test rules` writes the page.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod examples;
mod page;
mod run;

use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_rules_says_what_a_server_does() {
    let expected = page::of(&examples::all()).await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/RULES.md");
    if std::env::var_os("TIDELOG_WRITE_RULES").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    for (number, (expected, written)) in expected.lines().zip(written.lines()).enumerate() {
        assert_eq!(
            expected,
            written,
            "line {} of docs/RULES.md; the head of this test says how to write it",
            number + 1
        );
    }
    assert_eq!(expected.lines().count(), written.lines().count());
}
