//! Rebuild, refold, preview and verify as an operator runs them: the real binary beside a running server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tidelog_core::catalog::Catalog;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::wire::{RecordsResponse, Status};
use tidelog_testkit::{TestApp, tidelog_command};

const CATALOG: &str = "roles = [\"member\"]\n[tables.notes]\n[tables.lists]\n";
const OTHER: &str = "roles = [\"member\"]\n[tables.notes]\nrule = \"first_write_wins\"\n[tables.lists]\n";

fn tidelog(app: &TestApp, args: &[&str]) -> Command {
    let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), std::path::Path::new("."));
    command.args(["--database-url", app.database.url(), "--json"]).args(args);
    command
}

async fn run(app: &TestApp, args: &[&str]) -> Output {
    let mut command = tidelog(app, args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn good(app: &TestApp, args: &[&str]) -> Json {
    let output = run(app, args).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn bad(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args).await;
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Two phones that write the same notes without knowing of each other.
async fn with_history(app: &TestApp, rounds: usize, ops: usize) {
    let (mut one, mut two) = (app.phone("one").await, app.phone("two").await);
    for round in 0..rounds {
        for (name, phone) in [("one", &mut one), ("two", &mut two)] {
            let table = if round % 2 == 0 { "notes" } else { "lists" };
            let batch: Vec<_> =
                (0..ops).map(|n| phone.put(table, &format!("r{}", n % 50), json!({"by": name, "n": n}))).collect();
            phone.push(&batch).await.good::<Json>();
        }
    }
    app.folded().await;
}

async fn status(app: &TestApp) -> Status {
    app.analyst().await.get("/api/v1/sync/status").await.good()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_killed_in_the_middle_goes_on_and_can_be_rolled_back_and_dropped() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 20, 500).await;
    let before = status(&app).await;
    let mut killed = tidelog(&app, &["rebuild"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let built = loop {
        let known = app.store().generations(Some(app.workspace)).await.unwrap()[0];
        match known.building() {
            Some(building) if building.checkpoint.position.0 > 0 => break building.checkpoint.position,
            _ => assert!(began.elapsed() < Duration::from_secs(60) && known.kept().is_none(), "it is too fast to kill"),
        }
    };
    killed.kill().unwrap();
    killed.wait().unwrap();
    let known = app.store().generations(Some(app.workspace)).await.unwrap()[0];
    let unfinished = known.building().expect("it was killed in the middle").checkpoint;
    assert!(unfinished.position >= built && unfinished.position < known.live.checkpoint.position);
    let shown = good(&app, &["rebuild", "status"]).await;
    assert_eq!(shown["generations"][1]["state"], "unfinished", "{shown}");
    let rebuilt = good(&app, &["rebuild"]).await;
    assert_eq!(rebuilt["rebuilt"][0]["generation"], 2);
    assert_eq!(status(&app).await.digests, before.digests);
    let refused = bad(&app, &["rebuild"]).await;
    assert!(refused.contains("rebuild drop") && refused.contains("--replace"), "{refused}");
    assert_eq!(good(&app, &["rebuild", "rollback"]).await["live"][0]["generation"], 1);
    assert_eq!(status(&app).await.digests, before.digests);
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 2);
    assert_eq!(good(&app, &["rebuild", "--replace"]).await["rebuilt"][0]["generation"], 3);
    assert_eq!(good(&app, &["rebuild", "drop"]).await["dropped"], 1);
    assert_eq!(good(&app, &["verify"]).await["workspaces"][0]["good"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_catalog_is_previewed_refolded_and_taken_back() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 2, 20).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), OTHER).unwrap();
    let path = file.path().to_str().unwrap();
    let said = good(&app, &["catalog", "preview", path]).await;
    assert_eq!((&said["changed"], &said["tables"]["notes"]["changed"]), (&json!(20), &json!(20)));
    assert_eq!(said["records"][0]["fields"], json!([{"field": "by", "now": "two", "then": "one"}]));
    let applied = good(&app, &["catalog", "apply", path, "--refold"]).await;
    assert_eq!((&applied["version"], &applied["rebuilt"][0]["generation"]), (&json!(2), &json!(2)));
    assert_eq!(good(&app, &["catalog", "preview", path]).await["changed"], 0);
    let history = good(&app, &["catalog", "history"]).await;
    assert_eq!(
        (&history["catalogs"][1]["refold"], &history["catalogs"][1]["changed"]),
        (&json!(true), &json!(["notes"]))
    );
    assert!(bad(&app, &["catalog", "apply", path, "--refold"]).await.contains("--replace"), "before it is applied");
    assert_eq!(good(&app, &["catalog", "rollback"]).await["version"], 3);
    let in_force = app.store().catalog_in_force().await.unwrap().unwrap();
    assert_eq!(in_force.source, CATALOG);
    assert_eq!(good(&app, &["verify"]).await["workspaces"][0]["good"], true);
}

/// A cursor of `/sync/records` knows the records by the number of their making: none is ever given twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_was_dropped_leaves_its_number_to_nobody() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 2, 5).await;
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 2);
    let records: RecordsResponse = app.analyst().await.get("/api/v1/sync/records").await.good();
    good(&app, &["rebuild", "rollback"]).await;
    good(&app, &["rebuild", "drop", "--unfinished"]).await;
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 3);
    let after = format!("/api/v1/sync/records?after={}", records.end.cursor);
    app.analyst().await.get(&after).await.refused(409, "cursor_diverged");
}

/// FOLD-3: between the event of a refold and the swap nobody begins to fold from records of the rules before. And whoever
/// asked for it may be cut short: the next rebuild sees to every log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_a_refold_is_done_there_is_no_snapshot_to_fold_on_from() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 1, 5).await;
    let another = app.another_workspace().await;
    let mut elsewhere = app.phone_of(another, "elsewhere", "member").await;
    elsewhere.saves("notes", "n", json!({"by": "one"})).await;
    let full = async || app.analyst().await.get("/api/v1/sync/records?state=full").await;
    full().await.good::<RecordsResponse>();
    let other = Catalog::parse(OTHER).unwrap();
    app.store().apply_catalog_to_all(OTHER, &other, app.now()).await.unwrap();
    app.store().append_catalog(app.workspace, app.now()).await.unwrap();
    app.folded().await;
    full().await.refused(503, "unavailable");
    let rebuilt = good(&app, &["rebuild"]).await;
    assert!(rebuilt["rebuilt"].as_array().unwrap().iter().all(|row| row["refold"].as_i64() > Some(1)), "{rebuilt}");
    full().await.good::<RecordsResponse>();
    let due = good(&app, &["rebuild", "rollback"]).await;
    assert_eq!(due["refold_due"], true, "its rules are still in the log");
    full().await.refused(503, "unavailable");
}

/// A phone computes the digest of what it has, and finds the server's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_plain_records_has_the_digests_of_the_status() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 4, 30).await;
    let mut phone = app.phone("three").await;
    let delete = phone.delete("notes", "r3");
    phone.push(&[delete]).await.good::<Json>();
    app.folded().await;
    let mut own = std::collections::BTreeMap::<_, TableDigest>::new();
    for view in phone.records().await.into_iter().filter(|view| !view.deleted) {
        let key = RecordKey { table: view.table.clone(), scope: view.scope, record: view.record };
        own.entry(view.table).or_default().add(RecordHash::of_fields(&key, &view.fields));
    }
    let status = status(&app).await;
    assert_eq!(
        own.into_iter().map(|(table, digest)| (table, digest.to_string())).collect::<Vec<_>>(),
        status.digests.into_iter().collect::<Vec<_>>()
    );
    let good_run = good(&app, &["verify"]).await;
    assert_eq!(good_run["workspaces"][0]["digests"]["notes"]["records"], 29);
    let verified = app.store().generation_sums().await.unwrap().verified_at;
    assert!(verified.0 > 0);
    let owner = app.database.connect().await;
    owner.execute("UPDATE tidelog.records SET state = state || '\\x00' WHERE record = 'r1'", &[]).await.unwrap();
    assert!(bad(&app, &["verify"]).await.contains("faults"), "it fails as cron sees it");
    assert_eq!(app.store().generation_sums().await.unwrap().verified_at, verified, "the last good run stays");
}

/// What `/metrics` says of generations: the live one's number, the workspaces with one being made and with one kept, the
/// events that are in the one being made and those that it lacks.
async fn gauges(app: &TestApp) -> [i64; 5] {
    let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
    let names = ["generation", "rebuild_workspaces", "generations_kept", "rebuild_events", "rebuild_lag_events"];
    names.map(|name| {
        let name = format!("tidelog_{name} ");
        metrics.lines().find_map(|line| line.strip_prefix(name.as_str())).expect("it is shown").parse().unwrap()
    })
}

/// They are looked at every few seconds.
async fn gauges_become(app: &TestApp, expected: [i64; 5]) {
    let began = Instant::now();
    loop {
        let gauges = gauges(app).await;
        if gauges == expected {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{gauges:?} in place of {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gauges_tell_of_a_generation_being_made_swapped_and_rolled_back() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 2, 20).await;
    // The catalog, and four pushes of 20 ops.
    gauges_become(&app, [1, 0, 0, 0, 0]).await;
    // Nothing is swapped while somebody has the live checkpoint.
    let owner = app.database.connect().await;
    owner.batch_execute("BEGIN; SELECT FROM tidelog.checkpoints FOR UPDATE").await.unwrap();
    let mut rebuild = tidelog(&app, &["rebuild"]).stdout(Stdio::null()).spawn().unwrap();
    gauges_become(&app, [1, 1, 0, 81, 0]).await;
    owner.batch_execute("COMMIT").await.unwrap();
    assert!(tokio::task::spawn_blocking(move || rebuild.wait().unwrap()).await.unwrap().success());
    gauges_become(&app, [2, 0, 1, 0, 0]).await;
    good(&app, &["rebuild", "rollback"]).await;
    app.phone("three").await.saves("notes", "n", json!({})).await;
    gauges_become(&app, [1, 1, 0, 81, 1]).await;
}

/// What a transaction sees of the records in the set that is live at first.
const FIRST_SET: &str =
    "SELECT coalesce(string_agg(r::text, ',' ORDER BY r::text), '') FROM tidelog.records r WHERE table_set = 0";

/// Who is reading the old generation reads it to the end, and neither the drop nor anybody else waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_is_dropped_while_somebody_still_reads_it() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 4, 20).await;
    let before = status(&app).await;
    let (reader, another) = (app.database.connect().await, app.database.connect().await);
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let read: String = reader.query_one(FIRST_SET, &[]).await.unwrap().get(0);
    assert!(!read.is_empty());
    good(&app, &["rebuild"]).await;
    let dropping = tokio::time::timeout(Duration::from_secs(60), good(&app, &["rebuild", "drop"]));
    assert_eq!(dropping.await.expect("it waits for no reader")["dropped"], 1);
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), read);
    assert_eq!(another.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), "", "its rows went one by one");
    assert_eq!(status(&app).await.digests, before.digests);
    // The tables are free for the next one, reader or not.
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 3);
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), read);
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(good(&app, &["verify"]).await["workspaces"][0]["good"], true);
}

/// Who began before and reads it only now finds tables that were emptied: OPERATING.md says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_to_a_dropped_generation_with_an_old_snapshot_finds_nothing() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 1, 20).await;
    let reader = app.database.connect().await;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let live = "SELECT table_set FROM tidelog.checkpoints WHERE live";
    assert_eq!(reader.query_one(live, &[]).await.unwrap().get::<_, i16>(0), 0);
    good(&app, &["rebuild"]).await;
    assert_eq!(good(&app, &["rebuild", "drop"]).await["dropped"], 1);
    assert_eq!(reader.query_one(live, &[]).await.unwrap().get::<_, i16>(0), 0, "in its time it was live");
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), "");
}
