//! docs/RULES.md: each rule told by a run of the real server, and held against it.
//!
//! `TIDELOG_WRITE_RULES=1 cargo test -p tidelog --test rules` writes the page anew.

#![expect(clippy::unwrap_used, reason = "tests")]

mod examples;
mod page;
mod run;

use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_rules_says_what_a_server_does() {
    let told = page::of(&examples::all()).await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/RULES.md");
    if std::env::var_os("TIDELOG_WRITE_RULES").is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    for (number, (told, written)) in told.lines().zip(written.lines()).enumerate() {
        assert_eq!(told, written, "line {} of docs/RULES.md; see the head of this test", number + 1);
    }
    assert_eq!(told.lines().count(), written.lines().count());
}
