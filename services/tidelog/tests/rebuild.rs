//! Rebuild, refold, preview and verify as an operator runs them: the real binary beside a running server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tidelog_core::catalog::Catalog;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::wire::{RecordsResponse, Status};
use tidelog_testkit::{Reader, TestApp, tidelog_command};

const CATALOG: &str = "roles = [\"member\"]\n[tables.notes]\n[tables.lists]\n";
const OTHER: &str = "roles = [\"member\"]\n[tables.notes]\nrule = \"first_write_wins\"\n[tables.lists]\n";

/// A command on the server's database that prints JSON.
fn tidelog(app: &TestApp, args: &[&str]) -> Command {
    let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), std::path::Path::new("."));
    command.args(["--database-url", app.database.url(), "--json"]).args(args);
    command
}

async fn run(app: &TestApp, args: &[&str]) -> Output {
    let mut command = tidelog(app, args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The output of a command that succeeds.
async fn good(app: &TestApp, args: &[&str]) -> Json {
    let output = run(app, args).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The message of a command that fails.
async fn bad(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args).await;
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Two phones write the same records without knowing of each other.
async fn with_history(app: &TestApp, rounds: usize, ops: usize) {
    let (mut one, mut two) = (app.phone("one").await, app.phone("two").await);
    for round in 0..rounds {
        for (name, phone) in [("one", &mut one), ("two", &mut two)] {
            let table = if round % 2 == 0 { "notes" } else { "lists" };
            let batch: Vec<_> =
                (0..ops).map(|n| phone.put(table, &format!("r{}", n % 50), json!({"by": name, "n": n}))).collect();
            phone.push(&batch).await;
        }
    }
    app.folded().await;
}

async fn status(app: &TestApp) -> Status {
    app.analyst().await.status().await
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
            _ => assert!(
                began.elapsed() < Duration::from_secs(60) && known.kept().is_none(),
                "the rebuild ended before it was killed"
            ),
        }
    };
    killed.kill().unwrap();
    killed.wait().unwrap();
    let known = app.store().generations(Some(app.workspace)).await.unwrap()[0];
    let unfinished = known.building().expect("an unfinished generation").checkpoint;
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
    let preview = good(&app, &["catalog", "preview", path]).await;
    assert_eq!(preview["changed"], 20);
    assert_eq!(preview["tables"]["notes"]["changed"], 20);
    assert_eq!(preview["records"][0]["fields"], json!([{"field": "by", "now": "two", "then": "one"}]));
    let applied = good(&app, &["catalog", "apply", path, "--refold"]).await;
    assert_eq!(applied["version"], 2);
    assert_eq!(applied["rebuilt"][0]["generation"], 2);
    assert_eq!(good(&app, &["catalog", "preview", path]).await["changed"], 0);
    let history = good(&app, &["catalog", "history"]).await;
    let refold = &history["catalogs"][1];
    assert_eq!(refold["refold"], true);
    assert_eq!(refold["changed"], json!(["notes"]));
    let refused = bad(&app, &["catalog", "apply", path, "--refold"]).await;
    assert!(refused.contains("--replace"), "refused before the catalog is applied: {refused}");
    assert_eq!(good(&app, &["catalog", "rollback"]).await["version"], 3);
    let in_force = app.store().catalog_in_force().await.unwrap().unwrap();
    assert_eq!(in_force.source, CATALOG);
    assert_eq!(good(&app, &["verify"]).await["workspaces"][0]["good"], true);
}

/// A cursor of `/sync/records` names the generation that it is from, so no number may be used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_dropped_generation_is_not_used_again() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 2, 5).await;
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 2);
    let records = app.analyst().await.records_page("").await;
    good(&app, &["rebuild", "rollback"]).await;
    good(&app, &["rebuild", "drop", "--unfinished"]).await;
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 3);
    let after = format!("/api/v1/sync/records?after={}", records.end.cursor);
    app.analyst().await.get(&after).await.refused(409, "cursor_diverged");
}

/// FOLD-3: between the event of a refold and the swap no replica may start from records of the old rules. If the command
/// that asked for the refold is interrupted, the next rebuild refolds every log.
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
    assert_eq!(due["refold_due"], true, "the refold is still in the log");
    full().await.refused(503, "unavailable");
}

/// A phone computes the digests of its records, and they equal the server's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_plain_records_has_the_digests_of_the_status() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 4, 30).await;
    let mut phone = app.phone("three").await;
    let delete = phone.delete("notes", "r3");
    phone.push(&[delete]).await;
    app.folded().await;
    let mut own = std::collections::BTreeMap::<_, TableDigest>::new();
    for view in phone.records().await.into_iter().filter(|view| !view.deleted) {
        let key = RecordKey { table: view.table.clone(), scope: view.scope, record: view.record };
        own.entry(view.table).or_default().add(RecordHash::of_fields(&key, &view.fields));
    }
    let status = status(&app).await;
    let own: Vec<_> = own.into_iter().map(|(table, digest)| (table, digest.to_string())).collect();
    assert_eq!(own, status.digests.into_iter().collect::<Vec<_>>());
    let report = good(&app, &["verify"]).await;
    assert_eq!(report["workspaces"][0]["digests"]["notes"]["records"], 29);
    let verified = app.store().generation_sums().await.unwrap().verified_at;
    assert!(verified.0 > 0);
    let owner = app.database.connect().await;
    owner.execute("UPDATE tidelog.records SET state = state || '\\x00' WHERE record = 'r1'", &[]).await.unwrap();
    assert!(bad(&app, &["verify"]).await.contains("faults"), "its exit status is a failure, as a scheduler needs it");
    assert_eq!(
        app.store().generation_sums().await.unwrap().verified_at,
        verified,
        "the time of the last successful run stays"
    );
}

/// The gauges of generations: the number of the live one, the workspaces with an unfinished one, the workspaces with a kept
/// one, the events that the unfinished one has, and the events that it lacks.
async fn gauges(app: &TestApp) -> [i64; 5] {
    let metrics = app.get("/metrics").await.text();
    let names = ["generation", "rebuild_workspaces", "generations_kept", "rebuild_events", "rebuild_lag_events"];
    names.map(|name| {
        let name = format!("tidelog_{name} ");
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(name.as_str()))
            .expect("the gauge is exported")
            .parse()
            .unwrap()
    })
}

/// Waits until the gauges have these values. The server updates them every few seconds.
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
async fn the_gauges_show_a_generation_being_built_swapped_and_rolled_back() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 2, 20).await;
    // The catalog, two devices, and four pushes of 20 ops.
    gauges_become(&app, [1, 0, 0, 0, 0]).await;
    // While another transaction locks the live checkpoint, no generation is swapped.
    let owner = app.database.connect().await;
    owner.batch_execute("BEGIN; SELECT FROM tidelog.checkpoints FOR UPDATE").await.unwrap();
    let mut rebuild = tidelog(&app, &["rebuild"]).stdout(Stdio::null()).spawn().unwrap();
    gauges_become(&app, [1, 1, 0, 83, 0]).await;
    owner.batch_execute("COMMIT").await.unwrap();
    assert!(tokio::task::spawn_blocking(move || rebuild.wait().unwrap()).await.unwrap().success());
    gauges_become(&app, [2, 0, 1, 0, 0]).await;
    good(&app, &["rebuild", "rollback"]).await;
    app.phone("three").await.saves("notes", "n", json!({})).await;
    // The device that is new, and its op.
    gauges_become(&app, [1, 1, 0, 83, 2]).await;
}

/// Every record of the table set that is live at first, as a transaction sees it.
const FIRST_SET: &str =
    "SELECT coalesce(string_agg(r::text, ',' ORDER BY r::text), '') FROM tidelog.records r WHERE table_set = 0";

/// A transaction that reads the old generation reads it to the end, and neither the drop nor a rebuild waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_is_dropped_while_a_transaction_still_reads_it() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 4, 20).await;
    let before = status(&app).await;
    let (reader, another) = (app.database.connect().await, app.database.connect().await);
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let read: String = reader.query_one(FIRST_SET, &[]).await.unwrap().get(0);
    assert!(!read.is_empty());
    good(&app, &["rebuild"]).await;
    let dropping = tokio::time::timeout(Duration::from_secs(60), good(&app, &["rebuild", "drop"]));
    assert_eq!(dropping.await.expect("the drop waits for no reader")["dropped"], 1);
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), read);
    assert_eq!(
        another.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0),
        "",
        "its rows were deleted, not truncated"
    );
    assert_eq!(status(&app).await.digests, before.digests);
    // The table set is free for the next generation, with the reader still there.
    assert_eq!(good(&app, &["rebuild"]).await["rebuilt"][0]["generation"], 3);
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), read);
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(good(&app, &["verify"]).await["workspaces"][0]["good"], true);
}

/// A transaction that began before the drop and reads the generation only afterwards finds empty tables, as OPERATING.md
/// says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_read_of_a_dropped_generation_by_an_old_snapshot_finds_nothing() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    with_history(&app, 1, 20).await;
    let reader = app.database.connect().await;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let live = "SELECT table_set FROM tidelog.checkpoints WHERE live";
    assert_eq!(reader.query_one(live, &[]).await.unwrap().get::<_, i16>(0), 0);
    good(&app, &["rebuild"]).await;
    assert_eq!(good(&app, &["rebuild", "drop"]).await["dropped"], 1);
    assert_eq!(
        reader.query_one(live, &[]).await.unwrap().get::<_, i16>(0),
        0,
        "it was live when the snapshot was taken"
    );
    assert_eq!(reader.query_one(FIRST_SET, &[]).await.unwrap().get::<_, String>(0), "");
}
