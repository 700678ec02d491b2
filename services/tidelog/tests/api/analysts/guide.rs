//! docs/ANALYSTS.md: every query in it runs under the analysts' role, and finds at least one row.

use serde_json::json;
use tidelog_core::ids::Actor;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_testkit::{Phone, TestApp};

const GUIDE: &str = include_str!("../../../../../docs/ANALYSTS.md");
const CATALOG: &str = include_str!("../../../../../schema/catalogs/field-report.toml");

/// Ops of a person, made at some time.
fn by(actor: &str, made_at: UnixMs, ops: Vec<Op>) -> Vec<Op> {
    let actor = Actor::parse(actor).unwrap();
    ops.into_iter().map(|op| Op { actor: actor.clone(), at: Some(made_at), ..op }).collect()
}

/// A worker without a network and a coordinator in the office edit the same activity.
async fn a_day_in_the_field(app: &TestApp, worker: &mut Phone, coordinator: &mut Phone) {
    let now = app.now();
    let activity = json!({"worker": "u-1", "kind": "visit", "started_at": now.to_string(), "hours": 2.5, "contacts": ["c-1"],
        "place": {"lat": 47.1, "lon": 8.5, "name": "Zug"}});
    let ops =
        vec![worker.put("activities", "visit-1", activity), worker.put("contacts", "c-1", json!({"name": "Ana"}))];
    worker.push_and_wait(&by("u-1", now, ops)).await;
    coordinator.pull().await;
    let ops = vec![
        coordinator.put("activities", "visit-1", json!({"summary": "from the office", "hours": 3})),
        coordinator.put(
            "expenses",
            "e-1",
            json!({"worker": "u-1", "spent_on": "2026-11-20", "amount_cents": 9_007_199_254_740_993_i64,
            "currency": "CHF", "category": "travel", "receipt": {"$binary": "AAH/"}}),
        ),
        coordinator.delete("contacts", "c-1"),
    ];
    coordinator.push_and_wait(&by("u-9", now, ops)).await;
    // Made an hour earlier, on the road.
    let ops = vec![
        worker.put("activities", "visit-1", json!({"summary": "from the road", "hours": 2})),
        worker.put("expenses", "e-2", json!({"unknown": true})),
    ];
    worker.push_and_wait(&by("u-1", UnixMs(now.0 - 3_600_000), ops)).await;
}

#[tokio::test]
async fn every_query_of_the_guide_runs_and_finds_something() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut worker = app.phone_as("tablet", "worker", &["*"]).await;
    let mut coordinator = app.phone_as("laptop", "coordinator", &["*"]).await;
    a_day_in_the_field(&app, &mut worker, &mut coordinator).await;
    let client = app.database.connect().await;
    client.batch_execute("SET ROLE tidelog_analyst").await.unwrap();
    let queries: Vec<&str> = GUIDE.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(queries.len() >= 12, "the guide has {} queries", queries.len());
    for query in queries {
        let rows = client.query(query, &[]).await.unwrap_or_else(|e| panic!("{:?}\n{query}", e.as_db_error()));
        assert!(!rows.is_empty(), "it finds no row:\n{query}");
    }
}
