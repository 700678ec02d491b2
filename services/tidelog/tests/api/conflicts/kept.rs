//! Choosing the stored value of a conflict, also where a later catalog no longer accepts that value.

use serde_json::json;
use tidelog_testkit::{Reader, json_of};

use crate::conflicts::world::World;

/// A later catalog of the same tables: a string in place of a number, and notes that need a text and take nothing else.
const LATER: &str = r#"
roles = ["manager", "staff"]
[tables.forms.fields]
hours = { type = "string" }
[tables.notes]
rule = "manual"
strict = true
[tables.notes.fields]
text = { type = "string", required = true }
"#;

#[tokio::test]
async fn what_stands_is_kept_though_it_could_not_be_written_any_more() {
    let mut world = World::start().await;
    let mut made = Vec::new();
    for (table, field, winner, loser) in [
        ("notes", "text", json!(null), json!("tablet")),
        ("notes", "ink", json!("black"), json!("blue")),
        ("notes", "text", json!(7), json!("tablet")),
        ("forms", "hours", json!(2), json!(1)),
    ] {
        let record = format!("r{}", made.len());
        let (stored, lost) = (json!({field: winner}), json!({field: loser}));
        // In notes the first write stays, in forms the last one.
        let (first, second) = if table == "notes" { (stored.clone(), lost) } else { (lost, stored.clone()) };
        let outcome = world.meet_by_puts(table, &record, first, second).await;
        made.push((table, record, stored, outcome.conflicts[0].clone()));
    }
    world.app.apply_catalog(LATER).await;
    for (table, record, stored, id) in made {
        let mut before = world.record(table, &record).await;
        assert_eq!(json_of(&before.fields), stored);
        world.office.try_resolve(&id, &json!({"value": 3})).await.refused(422, "op_rejected");
        world.settle(&id, json!({"choose": "winner"})).await;
        before.open.clear();
        assert_eq!(world.record(table, &record).await, before, "the record is not written, and its conflict is closed");
    }
}

#[tokio::test]
async fn a_table_that_is_gone_settles_nothing() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await;
    world.app.apply_catalog("roles = [\"manager\", \"staff\"]\n[tables.forms]").await;
    let response = world.office.try_resolve(&outcome.conflicts[0], &json!({"choose": "winner"})).await;
    let problem = response.refused(422, "op_rejected");
    assert!(problem.detail.starts_with("table_unknown"), "{problem:?}");
    assert_eq!(world.conflict(&outcome.conflicts[0]).await.status, "open");
}

/// Under granularity `record` a row shows what stands in its field; what beat the op may have written another one.
#[tokio::test]
async fn an_op_that_lost_as_a_whole_says_what_beat_it() {
    let mut world = World::start().await;
    world.both_pull().await;
    world.office.saves("reports", "r", json!({"title": "a"})).await;
    let op = world.tablet.put("reports", "r", json!({"title": "b", "body": "b"}));
    let outcome = world.tablet.push_and_wait(&[op]).await.outcomes.unwrap().remove(0);
    let [body, title] = [&outcome.conflicts[0], &outcome.conflicts[1]];
    let (body, title) = (world.conflict(body).await, world.conflict(title).await);
    assert_eq!((body.field.as_str(), body.winner), ("body", None), "nothing stood there");
    let winner = title.winner.unwrap();
    assert_eq!(winner.value, Some(tidelog_core::value::Value::Text("a".to_owned())));
    for beaten_by in [body.beaten_by, title.beaten_by] {
        assert_eq!(beaten_by.as_ref(), Some(&winner.event));
        assert_eq!(beaten_by.unwrap().device, world.office.device);
    }
}
