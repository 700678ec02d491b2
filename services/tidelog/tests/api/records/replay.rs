//! `tidelog replay` prints whole tables as they were: what a replica has folded up to the same place.

use std::process::{Command, Output};

use serde_json::json;
use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::wire::{EventView, RecordView};
use tidelog_testkit::{Phone, TestApp, json_of};

/// Runs `tidelog replay`.
fn run(app: &TestApp, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.args(["--log", "error", "--database-url", app.database.url(), "replay"]).args(args);
    command.args(["--workspace", &app.workspace.to_string()]).output().unwrap()
}

/// The output of a command that succeeds.
fn good(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args);
    assert!(output.status.success(), "{args:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that fails.
fn bad(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The records that the command prints as lines.
fn records(app: &TestApp, args: &[&str]) -> Vec<RecordView> {
    let lines = good(app, &[args, &["--format", "ndjson"]].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn live(folder: &Folder) -> Vec<RecordView> {
    folder.views(false).filter(|view| !view.deleted).collect()
}

/// Two devices write the same records, and sometimes without knowing of each other. Returns the whole log.
async fn story(app: &TestApp) -> Vec<EventView> {
    let mut phones = vec![app.phone("one").await, app.phone("two").await];
    for round in 0..6_i64 {
        for (number, phone) in phones.iter_mut().enumerate() {
            if (round + number as i64) % 3 == 0 {
                phone.pull().await;
            }
            let fields = json!({"round": round, "by": format!("phone {number}"), "half": round as f64 / 2.0, "raw": {"$binary": "AAH/"}});
            let mut ops = vec![
                phone.put("notes", &format!("n{}", round % 3), fields),
                phone.put("notes", "all", json!({"last": i64::MAX - round})),
            ];
            if round == 3 {
                ops.push(phone.delete("notes", "n1"));
            }
            phone.push_and_wait(&ops).await;
        }
    }
    phones.push(app.phone("reader").await);
    phones[2].pull().await
}

#[tokio::test]
async fn every_position_and_time_of_the_past_is_what_a_replica_had_then() {
    let app = TestApp::start().await;
    let events = story(&app).await;
    let head = events.last().unwrap().position;
    // Positions within batches as well, and then times of the log.
    for end in (0..=head.0).step_by(4).chain([head.0]) {
        let until: Vec<_> = events.iter().filter(|event| event.position.0 <= end).cloned().collect();
        assert_eq!(records(&app, &["--as-of", &end.to_string()]), live(&Phone::fold(&until)), "at {end}");
    }
    for event in events.iter().step_by(5) {
        let until: Vec<_> = events.iter().filter(|other| other.received_at <= event.received_at).cloned().collect();
        assert_eq!(records(&app, &["--as-of", &event.received_at.to_string()]), live(&Phone::fold(&until)));
    }
    assert_eq!(records(&app, &[]), live(&Phone::fold(&events)), "without an option it is the head");
    assert_eq!(records(&app, &["--as-of", "1999-01-01T00:00:00Z"]), []);
}

#[tokio::test]
async fn one_table_alone_is_the_same_as_among_others() {
    let app = TestApp::build()
        .catalog("roles = [\"member\"]\n[tables.a]\n[tables.b]\nrule = \"first_write_wins\"")
        .start()
        .await;
    let mut phone = app.phone("phone").await;
    for number in 0..5 {
        phone.saves("a", "r", json!({"n": number})).await;
        phone.saves("b", "r", json!({"n": number})).await;
    }
    let both = records(&app, &[]);
    assert_eq!(both.len(), 2);
    assert_eq!(records(&app, &["--table", "a"]), both[..1]);
    assert_eq!(records(&app, &["--table", "b"]), both[1..]);
    assert!(bad(&app, &["--table", "c"]).contains("no table c"));
}

#[tokio::test]
async fn the_past_is_folded_by_the_rules_of_the_live_records() {
    let with = |rule: &str| format!("roles = [\"member\"]\n[tables.notes]\nrule = \"{rule}\"");
    let app = TestApp::build().catalog(&with("last_write_wins")).start().await;
    let (mut one, mut two) = (app.phone("one").await, app.phone("two").await);
    one.saves("notes", "n", json!({"by": "one"})).await;
    two.saves("notes", "n", json!({"by": "two"})).await;
    app.apply_catalog(&with("first_write_wins")).await;
    one.saves("notes", "other", json!({})).await;
    let by = |records: Vec<RecordView>| json_of(&records[0].fields)["by"].clone();
    assert_eq!(by(records(&app, &[])), "two", "rules never change the past");
    // What a rebuild leaves after a refold that an operator asked for.
    app.folded().await;
    let events = one.pull().await;
    let refold = events.iter().rfind(|event| event.table.is_server_owned()).unwrap();
    let owner = app.database.connect().await;
    let sql = format!("UPDATE tidelog.checkpoints SET refold_position = {}", refold.position);
    owner.batch_execute(&sql).await.unwrap();
    let (version, catalog) = Catalog::from_event(&Event::try_from(refold.clone()).unwrap()).unwrap();
    for end in [3, 5] {
        let mut folder = Folder::new();
        folder.refold(refold.position, version, catalog.clone());
        for event in events.iter().filter(|event| event.position.0 <= end) {
            folder.fold(&Event::try_from(event.clone()).unwrap()).unwrap();
        }
        let past = records(&app, &["--as-of", &end.to_string()]);
        assert_eq!(past, live(&folder));
        assert_eq!(by(past), "one", "unless an operator asks for it");
    }
}

#[tokio::test]
async fn tables_are_for_people_and_csv_for_programs() {
    let app = TestApp::build().catalog("roles = [\"member\"]\n[tables.a]\n[tables.b]").start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("a", "r", json!({"title": "say \"hi\"", "n": 5.0, "record": 1})).await;
    phone.saves("b", "s", json!({"big": i64::MIN, "steer": "\u{1b}[2J"})).await;
    let table = good(&app, &[]);
    assert!(table.starts_with("a at position 4: 1 records"), "{table}");
    assert!(table.contains("\nb at position 4: 1 records"), "{table}");
    assert!(table.contains("say \"hi\"") && table.contains("5.0"), "{table}");
    assert!(!table.contains('\u{1b}'), "a value cannot control the terminal: {table}");
    let csv = good(&app, &["--format", "csv"]);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], r#""table","record","scope","version","updated_at","big","n","field_record","steer","title""#);
    assert!(lines[1].starts_with(r#""a","r","",3,"#) && lines[1].ends_with(r#",,5.0,1,,"say ""hi""""#), "{csv}");
    assert!(lines[2].contains(",-9223372036854775808,,,"), "{csv}");
    // Postgres loads the file as it is.
    let owner = app.database.connect().await;
    let path = tempfile::Builder::new().prefix("tidelog-replay-").suffix(".csv").tempfile().unwrap();
    std::fs::write(path.path(), &csv).unwrap();
    std::fs::set_permissions(path.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let load = format!("CREATE TABLE public.back (\"table\" text, record text, scope text, version bigint, updated_at timestamptz, big bigint, n numeric, field_record bigint, steer text, title text);
        COPY public.back FROM '{}' CSV HEADER", path.path().display());
    owner.batch_execute(&load).await.unwrap();
    let row = owner.query_one("SELECT title, n::text, big FROM public.back WHERE record = 'r'", &[]).await.unwrap();
    let (title, n, big): (&str, &str, Option<i64>) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((title, n, big), ("say \"hi\"", "5.0", None));
    assert_eq!(good(&app, &["--json"]), good(&app, &["--format", "ndjson"]));
}

#[tokio::test]
async fn what_is_no_place_of_the_log_is_refused() {
    let app = TestApp::start().await;
    assert_eq!(good(&app, &[]), "no records at position 0\n", "an empty log has a past too");
    app.phone("phone").await.saves("notes", "n", json!({})).await;
    assert!(bad(&app, &["--as-of", "99"]).contains("ends at position 3"));
    for nonsense in ["yesterday", "-1", "2026-11-20", ""] {
        assert!(!bad(&app, &[&format!("--as-of={nonsense}")]).is_empty());
    }
}
