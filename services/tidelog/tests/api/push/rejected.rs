//! Rejected ops: listed, shown, and given a second chance once. An app that was shipped before its catalog loses nothing.

use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use tidelog_core::ids::{Actor, DeviceId, Position};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_postgres::{ReadmitOutcome, RejectedEvent, RejectedFilter};
use tidelog_testkit::TestApp;

use crate::notices::Notices;

const BEFORE: &str = "roles = [\"staff\", \"guest\"]\n[tables.notes]\n[tables.plans]\nwrite = [\"staff\"]";
const AFTER: &str = "roles = [\"staff\", \"guest\"]\n[tables.notes]\n[tables.plans]\nwrite = [\"staff\"]
    [tables.drawings.fields]\nstrokes = { type = \"binary\" }";

fn run(app: &TestApp, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.args(["--log", "error", "--database-url", app.database.url(), "rejected"]).args(args);
    command.args(["--workspace", &app.workspace.to_string()]).output().unwrap()
}

fn good(app: &TestApp, args: &[&str]) -> String {
    let output = run(app, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn good_json(app: &TestApp, args: &[&str]) -> Json {
    serde_json::from_str(&good(app, &[args, &["--json"]].concat())).unwrap()
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
    let strokes = [json!({"strokes": {"$binary": "AAH/"}, "n": i64::MAX}), json!({"strokes": {"$binary": "AAI="}})];
    let ops = strokes.clone().map(|fields| Op {
        at: Some(made_at),
        actor: actor.clone(),
        ..phone.put("drawings", "d", fields)
    });
    let answer = phone.push_and_wait(&ops).await;
    assert_eq!(answer.rejected.len(), 2);
    let base = phone.position();

    let listed = good_json(&app, &["list"]);
    let [first, second] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&first["code"], &first["table"], &first["record"]),
        (&json!("table_unknown"), &json!("drawings"), &json!("d"))
    );
    assert_eq!((&first["actor"], &first["role"], &first["at"]), (&json!("ana"), &json!("staff"), &json!(made_at)));
    assert_eq!((&first["fields"], &second["fields"], &first["readmitted"]), (&strokes[0], &strokes[1], &Json::Null));
    let position = first["position"].to_string();
    let shown = good(&app, &["show", &position]);
    assert!(
        shown.contains("table_unknown") && shown.contains("9223372036854775807") && shown.contains("AAH/"),
        "{shown}"
    );

    let told = good_json(&app, &["readmit", &position]);
    assert_eq!((&told[0]["outcome"], &told[0]["code"]), (&json!("refused"), &json!("table_unknown")), "still bad");
    let head = app.store().head(app.workspace, Position::START).await.unwrap().unwrap().head;

    app.apply_catalog(AFTER).await;
    let mut notices = Notices::of(&app).await;
    let told = good_json(&app, &["readmit", "--all", "--code", "table_unknown", "--table", "drawings"]);
    assert_eq!(
        told.as_array().unwrap().iter().map(|told| told["outcome"].as_str().unwrap()).collect::<Vec<_>>(),
        ["readmitted"; 2]
    );
    let events = phone.pull_ops().await;
    assert_eq!(events.len(), 2);
    for event in &events {
        notices.wait_for_head(event.position).await;
    }
    for (event, (told, fields)) in events.iter().zip(told.as_array().unwrap().iter().zip(strokes)) {
        assert_eq!((event.device, event.role.as_str(), event.actor.as_str()), (DeviceId::SYSTEM, "staff", "ana"));
        assert_eq!((event.base, event.at, &told["readmitted"]), (base, made_at, &json!(event.position)));
        assert_eq!(serde_json::to_value(&event.fields).unwrap(), fields);
        assert!(event.position > head && event.received_at > made_at);
    }
    app.folded().await;
    let drawing = phone.records().await.into_iter().find(|record| record.record.as_str() == "d").unwrap();
    assert_eq!(serde_json::to_value(&drawing.fields).unwrap(), json!({"strokes": {"$binary": "AAI="}, "n": i64::MAX}));

    let again = good(&app, &["readmit", &position]);
    assert!(again.contains("already") && again.contains("0 readmitted, 1 had been, 0 refused"), "{again}");
    assert_eq!(phone.pull_ops().await, []);
    assert!(good(&app, &["list"]).contains(&format!("at {}", events[0].position)));
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
    let first = outcomes.iter().find_map(|outcome| match outcome {
        ReadmitOutcome::Readmitted(position) => Some(*position),
        _ => None,
    });
    let first = first.expect("one does");
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == ReadmitOutcome::Already(first)).count(),
        7,
        "{outcomes:?}"
    );
    assert_eq!(phone.pull_ops().await.len(), 1);
    assert_eq!(all(&app).await[0].readmitted, Some(first));
}

#[tokio::test]
async fn a_readmitted_op_is_judged_against_what_came_since_its_base() {
    let app = TestApp::build()
        .catalog("roles = [\"staff\"]\n[tables.notes]\nwrite = []\nrule = \"first_write_wins\"")
        .start()
        .await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves("notes", "n", json!({"title": "of before"})).await;
    app.apply_catalog("roles = [\"staff\"]\n[tables.notes]\nrule = \"first_write_wins\"").await;
    let mut other = app.phone_as("other", "staff", &["*"]).await;
    other.saves("notes", "n", json!({"title": "of meanwhile"})).await;
    let rejected = all(&app).await.remove(0);
    let ReadmitOutcome::Readmitted(position) = app.store().readmit(app.workspace, &rejected, app.now()).await.unwrap()
    else {
        panic!("it is allowed now")
    };
    app.folded().await;
    assert_eq!(serde_json::to_value(&other.records().await[0].fields).unwrap(), json!({"title": "of meanwhile"}));
    let verdicts = app.store().verdicts(app.workspace, position, position).await.unwrap();
    assert_eq!(verdicts[0].conflicts[0].to_string(), format!("{position}.title"), "its value is in the conflicts");
}

#[tokio::test]
async fn what_its_device_may_not_do_stays_rejected() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut guest = app.phone_as("guest", "guest", &["store-1"]).await;
    let elsewhere = guest.put("notes", "n", json!({}));
    let elsewhere = Op { scope: tidelog_core::ids::Scope::parse("store-2").unwrap(), ..elsewhere };
    let ops = [guest.put("plans", "p", json!({})), elsewhere];
    let ops = [ops[1].clone(), ops[0].clone()];
    let large = guest.put("notes", "large", json!({"text": "x".repeat(300_000)}));
    guest.push_and_wait(&[ops[0].clone(), ops[1].clone(), large]).await;
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
async fn what_is_no_rejected_op_is_told() {
    let app = TestApp::build().catalog(BEFORE).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves("notes", "n", json!({})).await;
    for (args, said) in [
        (&["show", "2"][..], "no rejected op at position 2"),
        (&["readmit", "99"], "tidelog rejected list"),
        (&["readmit"], "--all"),
        (&["readmit", "--all"], "--code"),
        (&["list", "--code", "nonsense"], "table_unknown"),
    ] {
        let output = run(&app, args);
        assert!(!output.status.success(), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(good_json(&app, &["list"]), json!([]));
    assert_eq!(
        app.store()
            .rejected(app.another_workspace().await, Position::START, &RejectedFilter::default())
            .await
            .unwrap()
            .next,
        None
    );
}
