//! The three stories of an inspection app, in both encodings.

use serde_json::json;
use tidelog_core::wire::{Encoding, EventView};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of};

const CATALOG: &str = include_str!("../../../../../schema/catalogs/insight.toml");

/// A server, a manager's device, and a device of store 12.
async fn shop(encoding: Encoding) -> (TestApp, Phone, Phone) {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let manager = app.phone_as("manager", "manager", &["*"]).await.speaking(encoding);
    let store = app.phone_as("store 12", "staff", &["store-12"]).await.speaking(encoding);
    (app, manager, store)
}

fn addresses(events: &[EventView]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.table.as_str(), event.record.as_str())).collect()
}

async fn a_managers_new_form_reaches_a_store(encoding: Encoding) {
    let (app, mut manager, mut store) = shop(encoding).await;
    let ops = [
        manager.put("forms", "f1", json!({"title": "Opening check"})),
        manager.put("form_sections", "s1", json!({"form": "f1", "title": "Entrance"})),
        manager.put("fields", "q1", json!({"section": "s1", "label": "Is the floor clean?"})),
    ];
    assert_eq!(manager.push(&ops).await.rejected, []);
    assert_snapshot_of!(app, "a_managers_new_form_as_a_store_pulls_it", store.pull_ops().await);
    app.folded().await;
    assert_snapshot_of!(app, "a_managers_new_form_as_a_stores_records", store.records().await);

    let forged = store.saves_in_vain("forms", "f1", json!({"title": "No check"})).await;
    assert_eq!(forged.code, "role_forbidden", "only managers write forms");
}

async fn a_submission_reaches_the_manager_with_its_answers_unsplit(encoding: Encoding) {
    let (_app, mut manager, mut store) = shop(encoding).await;
    let mut ops = vec![store.put("submissions", "sub-1", json!({"form": "f1", "status": "completed"}))];
    for number in 0..20 {
        let answer = json!({"submission": "sub-1", "field": format!("q{number}"), "value": "yes"});
        ops.push(store.put("submission_answers", &format!("a{number}"), answer));
    }
    assert_eq!(store.push(&ops).await.rejected, []);
    let mut events = manager.pull_in_pages_of(1).await;
    events.retain(|event| !event.table.is_server_owned());
    assert_eq!(events.len(), 21);
    assert!(events.iter().all(|event| event.batch == events[0].position), "one batch, in one page of limit 1");
}

async fn a_device_that_was_offline_for_five_batches_catches_up_in_order(encoding: Encoding) {
    let (_app, mut manager, mut store) = shop(encoding).await;
    store.pull().await;
    let mut made = Vec::new();
    for batch in 0..5 {
        let names: Vec<_> = (0..=batch).map(|number| format!("f{batch}-{number}")).collect();
        let ops: Vec<_> = names.iter().map(|name| manager.put("forms", name, json!({"title": "a form"}))).collect();
        manager.push(&ops).await;
        made.extend(names);
    }
    let submission = json!({"form": "f0-0", "status": "draft"});
    let own: Vec<_> =
        (0..5).map(|number| store.put("submissions", &format!("sub-{number}"), submission.clone())).collect();
    store.push(&own).await;
    let pulled = store.pull_ops().await;
    assert!(pulled.is_sorted_by(|a, b| a.position < b.position), "{:?}", addresses(&pulled));
    let forms = pulled.iter().filter(|event| event.table.as_str() == "forms");
    assert_eq!(forms.map(|event| event.record.to_string()).collect::<Vec<_>>(), made);
    assert!(store.pull().await.is_empty(), "a second pull finds nothing");
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
