//! The three stories of an inspection app, in both encodings.

use serde_json::json;
use tidelog_core::wire::{Encoding, EventView};
use tidelog_testkit::{Phone, TestApp};

const CATALOG: &str = include_str!("../../../../../schema/catalogs/insight.toml");

async fn app() -> TestApp {
    TestApp::build().catalog(CATALOG).start().await
}

async fn device(app: &TestApp, name: &str, role: &str, scopes: &[&str], encoding: Encoding) -> Phone {
    app.phone_as(name, role, scopes).await.speaking(encoding)
}

fn records(events: &[EventView]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.table.as_str(), event.record.as_str())).collect()
}

async fn a_managers_new_form_reaches_a_store(encoding: Encoding) {
    let app = app().await;
    let mut manager = device(&app, "manager", "manager", &["*"], encoding).await;
    let mut store = device(&app, "store 12", "staff", &["store-12"], encoding).await;
    let ops = [
        manager.put("forms", "f1", json!({"title": "Opening check"})),
        manager.put("form_sections", "s1", json!({"form": "f1", "title": "Entrance"})),
        manager.put("fields", "q1", json!({"section": "s1", "label": "Is the floor clean?"})),
    ];
    let answer: tidelog_core::wire::PushResponse = manager.push(&ops).await.good();
    assert_eq!(answer.rejected, []);
    let events = store.pull_ops().await;
    assert_eq!(records(&events), [("forms", "f1"), ("form_sections", "s1"), ("fields", "q1")]);
    assert_eq!(events[0].role.as_str(), "manager");
    app.folded().await;
    let titles: Vec<_> = store.records().await.into_iter().map(|record| record.record.to_string()).collect();
    assert_eq!(titles, ["f1", "s1", "q1"]);

    let forged = store.put("forms", "f1", json!({"title": "No check"}));
    let answer: tidelog_core::wire::PushResponse = store.push(&[forged]).await.good();
    assert_eq!(answer.rejected[0].code, "role_forbidden", "only managers write forms");
}

async fn a_submission_reaches_the_manager_with_its_answers_unsplit(encoding: Encoding) {
    let app = app().await;
    let mut manager = device(&app, "manager", "manager", &["*"], encoding).await;
    let mut store = device(&app, "store 12", "staff", &["store-12"], encoding).await;
    let mut ops = vec![store.put("submissions", "sub-1", json!({"form": "f1", "status": "completed"}))];
    for number in 0..20 {
        let answer = json!({"submission": "sub-1", "field": format!("q{number}"), "value": "yes"});
        ops.push(store.put("submission_answers", &format!("a{number}"), answer));
    }
    let answer: tidelog_core::wire::PushResponse = store.push(&ops).await.good();
    assert_eq!(answer.rejected, []);
    let events = manager.pull_in_pages_of(1).await;
    let events: Vec<_> = events.into_iter().filter(|event| !event.table.is_server_owned()).collect();
    assert_eq!(events.len(), 21);
    assert!(events.iter().all(|event| event.batch == events[0].position), "one batch, in one page of limit 1");
}

async fn a_device_that_was_offline_for_five_batches_catches_up_in_order(encoding: Encoding) {
    let app = app().await;
    let mut manager = device(&app, "manager", "manager", &["*"], encoding).await;
    let mut store = device(&app, "store 12", "staff", &["store-12"], encoding).await;
    store.pull().await;
    let mut made = Vec::new();
    for batch in 0..5 {
        let ops: Vec<_> = (0..=batch)
            .map(|number| manager.put("forms", &format!("f{batch}-{number}"), json!({"title": "a form"})))
            .collect();
        made.extend(ops.iter().map(|op| op.record.to_string()));
        manager.push(&ops).await.good::<tidelog_core::wire::PushResponse>();
    }
    let mut own = Vec::new();
    for number in 0..5 {
        own.push(store.put("submissions", &format!("sub-{number}"), json!({"form": "f0-0", "status": "draft"})));
    }
    store.push(&own).await.good::<tidelog_core::wire::PushResponse>();
    let pulled = store.pull_ops().await;
    let positions: Vec<_> = pulled.iter().map(|event| event.position.0).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    let forms = pulled.iter().filter(|event| event.table.as_str() == "forms");
    assert_eq!(forms.map(|event| event.record.to_string()).collect::<Vec<_>>(), made);
    assert!(store.pull().await.is_empty(), "and then there is nothing more");
}

macro_rules! in_both_encodings {
    ($($story:ident: $json:ident, $msgpack:ident;)*) => {
        $(
            #[tokio::test]
            async fn $json() {
                $story(Encoding::Json).await;
            }

            #[tokio::test]
            async fn $msgpack() {
                $story(Encoding::MessagePack).await;
            }
        )*
    };
}

in_both_encodings! {
    a_managers_new_form_reaches_a_store: a_form_reaches_a_store_in_json, a_form_reaches_a_store_in_msgpack;
    a_submission_reaches_the_manager_with_its_answers_unsplit: a_submission_arrives_whole_in_json, a_submission_arrives_whole_in_msgpack;
    a_device_that_was_offline_for_five_batches_catches_up_in_order: an_offline_device_catches_up_in_json, an_offline_device_catches_up_in_msgpack;
}
