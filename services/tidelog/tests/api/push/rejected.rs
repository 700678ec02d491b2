//! Rejected ops: listed, shown, and readmitted once. An app that was shipped before its catalog loses nothing.

use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tidelog_core::ids::{Actor, DeviceId, Position, Scope};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_postgres::{ReadmitOutcome, RejectedEvent, RejectedFilter};
use tidelog_testkit::{Reader, TestApp, assert_snapshot_of, json_of};

use crate::notices::Notices;

const BEFORE: &str = "roles = [\"staff\", \"guest\"]\n[tables.notes]\n[tables.plans]\nwrite = [\"staff\"]";
const AFTER: &str = "roles = [\"staff\", \"guest\"]\n[tables.notes]\n[tables.plans]\nwrite = [\"staff\"]
    [tables.drawings.fields]\nstrokes = { type = \"binary\" }";

/// What `tidelog rejected list --json` says of an op.
#[derive(Deserialize)]
struct Listed {
    position: Position,
    at: UnixMs,
    fields: Json,
}

/// What `tidelog rejected readmit --json` says of an op.
#[derive(Deserialize)]
struct Readmitted {
    outcome: String,
    code: Option<String>,
    readmitted: Option<Position>,
}

/// Runs `tidelog rejected`.
fn run(app: &TestApp, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.args(["--log", "error", "--database-url", app.database.url(), "rejected"]).args(args);
    command.args(["--workspace", &app.workspace.to_string()]).output().unwrap()
}

/// The output of a command that succeeds.
fn output(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn output_json(app: &TestApp, args: &[&str]) -> Json {
    serde_json::from_str(&output(app, &[args, &["--json"]].concat())).unwrap()
}

/// What became of each op, also if none was readmitted and the command fails for that.
fn readmit(app: &TestApp, args: &[&str]) -> Vec<Readmitted> {
    serde_json::from_slice(&run(app, &[&["readmit"], args, &["--json"]].concat()).stdout).unwrap()
}

async fn all(app: &TestApp) -> Vec<RejectedEvent> {
    app.store().rejected(app.workspace, Position::START, &RejectedFilter::default()).await.unwrap().events
}

#[tokio::test]
async fn an_app_that_was_shipped_before_its_catalog_loses_nothing() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut phone = app.phone_as("phone", "staff", &["store-1"]).await;
    phone.saves("notes", "n", json!({})).await;
    phone.pull().await;
    let (made_at, actor) = (UnixMs(app.now().0 - 3_600_000), Actor::parse("ana").unwrap());
    let given = [json!({"strokes": {"$binary": "AAH/"}, "n": i64::MAX}), json!({"strokes": {"$binary": "AAI="}})];
    let ops = given.clone().map(|fields| Op {
        at: Some(made_at),
        actor: actor.clone(),
        ..phone.put("drawings", "d", fields)
    });
    assert_eq!(phone.push_and_wait(&ops).await.rejected.len(), 2);
    let base = phone.position();

    let list = output_json(&app, &["list"]);
    assert_snapshot_of!(app, "rejected_ops_as_an_operator_lists_them", list);
    let listed: Vec<Listed> = serde_json::from_value(list).unwrap();
    assert!(listed.iter().all(|op| op.at == made_at));
    assert_eq!(listed.iter().map(|op| op.fields.clone()).collect::<Vec<_>>(), given);
    let position = listed[0].position.to_string();
    let shown = output(&app, &["show", &position]);
    for expected in ["table_unknown", "9223372036854775807", "AAH/"] {
        assert!(shown.contains(expected), "{shown}");
    }

    // What a command that readmits nothing prints, it prints all the same.
    let said = run(&app, &["readmit", &position, "--json"]);
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stderr));
    let refused: Vec<Readmitted> = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(refused[0].outcome, "refused", "the table is still unknown");
    assert_eq!(refused[0].code.as_deref(), Some("table_unknown"));
    let head = app.store().head(app.workspace, Position::START).await.unwrap().unwrap().head;

    app.apply_catalog(AFTER).await;
    let mut notices = Notices::of(&app).await;
    let readmitted = readmit(&app, &["--all", "--code", "table_unknown", "--table", "drawings"]);
    assert!(readmitted.iter().all(|op| op.outcome == "readmitted"));
    let events = phone.pull_ops().await;
    assert_eq!((events.len(), readmitted.len()), (2, 2));
    for (event, (readmitted, given)) in events.iter().zip(readmitted.iter().zip(&given)) {
        notices.wait_for_head(event.position).await;
        assert_eq!((event.device, event.role.as_str(), event.actor.as_str()), (DeviceId::SYSTEM, "staff", "ana"));
        assert_eq!((event.base, event.at, readmitted.readmitted), (base, made_at, Some(event.position)));
        assert_eq!(json_of(&event.fields), *given);
        assert!(event.position > head && event.received_at > made_at);
    }
    app.folded().await;
    let drawing = json!({"strokes": {"$binary": "AAI="}, "n": i64::MAX});
    assert_eq!(phone.fields("drawings", "d").await, drawing);

    let again = output(&app, &["readmit", &position]);
    assert!(again.contains("already") && again.contains("0 readmitted, 1 had been, 0 refused"), "{again}");
    assert_eq!(phone.pull_ops().await, []);
    assert!(output(&app, &["list"]).contains(&format!("at {}", events[0].position)));
}

#[tokio::test]
async fn of_many_that_readmit_one_at_once_one_does() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves("drawings", "d", json!({})).await;
    app.apply_catalog(AFTER).await;
    let rejected = all(&app).await.remove(0);
    let readmit = || app.store().readmit(app.workspace, &rejected, app.now());
    let outcomes = futures_util::future::join_all((0..8).map(|_| readmit())).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let position = outcomes.iter().find_map(|outcome| match outcome {
        ReadmitOutcome::Readmitted(position) => Some(*position),
        _ => None,
    });
    let position = position.expect("one of them readmits the op");
    let too_late = outcomes.iter().filter(|outcome| **outcome == ReadmitOutcome::Already(position));
    assert_eq!(too_late.count(), 7, "{outcomes:?}");
    assert_eq!(phone.pull_ops().await.len(), 1);
    assert_eq!(all(&app).await[0].readmitted, Some(position));
}

/// Three edits of one phone to one note, made before the server let it write notes, count as that phone's.
#[tokio::test]
async fn readmitted_edits_of_one_phone_do_not_conflict_with_each_other() {
    let app = TestApp::build().catalog("roles = [\"staff\"]\n[tables.notes]\nwrite = []").start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    for title in ["a", "b", "c"] {
        phone.saves("notes", "n", json!({"title": title})).await;
    }
    app.apply_catalog("roles = [\"staff\"]\n[tables.notes]\nrule = \"manual\"").await;
    let mut positions = Vec::new();
    for rejected in all(&app).await {
        match app.store().readmit(app.workspace, &rejected, app.now()).await.unwrap() {
            ReadmitOutcome::Readmitted(position) => positions.push(position),
            outcome => panic!("the catalog allows it now: {outcome:?}"),
        }
    }
    app.folded().await;
    assert_eq!(app.store().verdicts(app.workspace, positions[0], positions[2]).await.unwrap(), []);
    assert_eq!(phone.fields("notes", "n").await, json!({"title": "c"}));
    assert_eq!(phone.fields("notes", &format!("n?as_of={}", positions[1])).await, json!({"title": "b"}));

    // What another device makes of it is a conflict with the phone, not with the server.
    let mut other = app.phone_as("other", "staff", &["*"]).await;
    let op = Op { base: Some(Position(1)), ..other.put("notes", "n", json!({"title": "d"})) };
    let outcome = other.push_and_wait(&[op]).await.outcomes.unwrap().remove(0);
    let conflict = other.conflict(&outcome.conflicts[0]).await;
    let winner = conflict.winner.unwrap().event;
    assert_eq!((winner.position, winner.device), (positions[2], phone.device));
    let changes = "SELECT string_agg(device || ' ' || position, ',' ORDER BY position) FROM tidelog.device_changes
        WHERE device = $1 AND position > 4";
    let row = app.database.connect().await.query_one(changes, &[&phone.device.0]).await.unwrap();
    let before = positions.iter().map(|position| format!("{} {}", phone.device, position.0 - 1));
    assert_eq!(row.get::<_, String>(0), before.collect::<Vec<_>>().join(","));
}

#[tokio::test]
async fn a_readmitted_op_is_judged_against_what_came_since_its_base() {
    let closed = "roles = [\"staff\"]\n[tables.notes]\nwrite = []\nrule = \"first_write_wins\"";
    let app = TestApp::build().catalog(closed).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves("notes", "n", json!({"title": "rejected"})).await;
    app.apply_catalog("roles = [\"staff\"]\n[tables.notes]\nrule = \"first_write_wins\"").await;
    let mut other = app.phone_as("other", "staff", &["*"]).await;
    other.saves("notes", "n", json!({"title": "stored since"})).await;
    let rejected = all(&app).await.remove(0);
    let outcome = app.store().readmit(app.workspace, &rejected, app.now()).await.unwrap();
    let ReadmitOutcome::Readmitted(position) = outcome else { panic!("the catalog allows it now: {outcome:?}") };
    app.folded().await;
    assert_eq!(other.fields("notes", "n").await, json!({"title": "stored since"}));
    let verdicts = app.store().verdicts(app.workspace, position, position).await.unwrap();
    assert_eq!(verdicts[0].conflicts[0].to_string(), format!("{position}.title"), "its value is a conflict's loser");
}

#[tokio::test]
async fn what_its_device_may_not_do_stays_rejected() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut guest = app.phone_as("guest", "guest", &["store-1"]).await;
    let elsewhere = Op { scope: Scope::parse("store-2").unwrap(), ..guest.put("notes", "n", json!({})) };
    let plan = guest.put("plans", "p", json!({}));
    let large = guest.put("notes", "large", json!({"text": "x".repeat(300_000)}));
    guest.push_and_wait(&[elsewhere, plan, large]).await;
    let mut outcomes = Vec::new();
    for rejected in all(&app).await {
        outcomes.push(app.store().readmit(app.workspace, &rejected, app.now()).await.unwrap());
    }
    let expected = [
        ReadmitOutcome::Refused(RejectCode::ScopeForbidden),
        ReadmitOutcome::Refused(RejectCode::RoleForbidden),
        ReadmitOutcome::NotKept,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(guest.pull_ops().await, []);
}

#[tokio::test]
async fn what_is_no_rejected_op_is_refused_with_a_way_out() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves("notes", "n", json!({})).await;
    for (args, message) in [
        (&["show", "2"][..], "no rejected op at position 2"),
        (&["readmit", "99"], "tidelog rejected list"),
        (&["readmit"], "--all"),
        (&["readmit", "--all"], "--code"),
        (&["list", "--code", "nonsense"], "table_unknown"),
    ] {
        let output = run(&app, args);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(message),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(output_json(&app, &["list"]), json!([]));
    let other = app.another_workspace().await;
    let page = app.store().rejected(other, Position::START, &RejectedFilter::default()).await.unwrap();
    assert_eq!(page.next, None);
}
