//! Keeping what stands, also where a later catalog does not take it any more.

use serde_json::json;

use crate::conflicts::world::{World, fields, resolve};

/// The world's catalog later on: a word in place of a number, and notes that need a text and nothing else.
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
    let mut rows = Vec::new();
    for (table, field, stands, lost) in [
        ("notes", "text", json!(null), json!("tablet")),
        ("notes", "ink", json!("black"), json!("blue")),
        ("notes", "text", json!(7), json!("tablet")),
        ("forms", "hours", json!(2), json!(1)),
    ] {
        let record = format!("r{}", rows.len());
        let (first, second) = if table == "notes" { (&stands, &lost) } else { (&lost, &stands) };
        let outcome = world
            .meet(
                |office| office.put(table, &record, json!({field: first})),
                |tablet| tablet.put(table, &record, json!({field: second})),
            )
            .await;
        rows.push((table, record, json!({field: stands}), outcome.conflicts[0].clone()));
    }
    world.app.apply_catalog(LATER).await;
    let refused = json!({"value": 3});
    for (table, record, stands, id) in rows {
        let before = world.record(table, &record).await;
        assert_eq!(before.fields, fields(stands));
        resolve(&world.office.http, &id, &refused).await.refused(422, "op_rejected");
        world.settle(&id, json!({"choose": "winner"})).await;
        assert_eq!(world.record(table, &record).await, before, "nothing of it is written");
    }
}

#[tokio::test]
async fn a_table_that_is_gone_settles_nothing() {
    let mut world = World::start().await;
    let outcome = world
        .meet(
            |office| office.put("notes", "n", json!({"text": "a"})),
            |tablet| tablet.put("notes", "n", json!({"text": "b"})),
        )
        .await;
    world.app.apply_catalog("roles = [\"manager\", \"staff\"]\n[tables.forms]").await;
    let answer = resolve(&world.office.http, &outcome.conflicts[0], &json!({"choose": "winner"})).await;
    let problem = answer.refused(422, "op_rejected");
    assert!(problem["detail"].as_str().unwrap().starts_with("table_unknown"), "{problem}");
    assert_eq!(world.conflict(&outcome.conflicts[0]).await.status, "open");
}
