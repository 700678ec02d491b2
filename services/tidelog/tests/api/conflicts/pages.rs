//! Pages of conflicts that end after the rows that they have examined, not after the rows that they have found.

use serde_json::json;
use tidelog_core::ids::ConflictId;
use tidelog_core::wire::ConflictsResponse;
use tidelog_testkit::Http;

use crate::conflicts::world::World;

/// Conflicts that the test gives each of four ops. One op has fewer than a page examines, all four have more.
const CONFLICTS_OF_AN_OP: i64 = 6_000;

/// Every conflict that a query finds, page by page, and the cursors of all pages but the last.
async fn walk(http: &Http, query: &str) -> (Vec<ConflictId>, Vec<String>) {
    let (mut found, mut cursors, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page: ConflictsResponse = http.get(&format!("/api/v1/conflicts?{query}{after}")).await.good();
        found.extend(page.conflicts.into_iter().map(|row| row.conflict));
        let Some(cursor) = page.cursor.filter(|_| page.more) else { return (found, cursors) };
        assert!(!cursors.contains(&cursor), "each page makes progress: {cursors:?}");
        after = format!("&after={cursor}");
        cursors.push(cursor);
    }
}

/// A conflict between two writers of a note. The second one's op made it.
async fn meet(world: &mut World, record: &str) -> ConflictId {
    let outcome = world.meet_by_puts("notes", record, json!({"text": "a"}), json!({"text": "b"})).await;
    outcome.conflicts[0].clone()
}

/// SEC-1, PULL-1 for conflicts: a filter that finds few rows gives each one once, and its cursor tells nothing about others.
#[tokio::test]
async fn a_filtered_page_ends_at_a_place_that_names_no_hidden_field() {
    let mut world = World::start().await;
    let first = meet(&mut world, "first").await;
    // Four ops whose conflicts only managers see. A rule decided one conflict of each op, and the rest are open.
    let mut decided = Vec::new();
    for number in 0..4 {
        let op = world.office.put("secrets", &format!("s{number}"), json!({}));
        let response = world.office.push_and_wait(&[op]).await;
        decided.push(ConflictId::of(response.runs[0].position, "a"));
    }
    let last = meet(&mut world, "last").await;
    let positions: Vec<i64> = decided.iter().map(|id| id.parts().unwrap().0.0).collect();
    let owner = world.app.database.connect().await;
    let sql = "INSERT INTO tidelog.conflicts (workspace, table_set, position, field, status, rule, table_name, scope, record,
            winner_position, winner_deleted, loser_position, loser_deleted, closed_position)
        SELECT $1, 0, position, CASE n WHEN 0 THEN 'a' ELSE 'canary' || n END, CASE n WHEN 0 THEN 'automatic' ELSE 'open' END,
            'manual', 'secrets', '', 's', 0, false, position, false, 0
        FROM unnest($2::bigint[]) AS position, generate_series(0, $3::bigint - 1) AS n";
    owner.execute(sql, &[&world.app.workspace.0, &positions, &CONFLICTS_OF_AN_OP]).await.unwrap();

    let staff = world.app.phone_as("staff", "staff", &["*"]).await.http;
    let manager = &world.office.http;
    for (case, http, query) in [
        ("a reader who may not see the rest", &staff, ""),
        ("a reader who may not see the rest", &staff, "status=open"),
        ("a filter by table", manager, "table=notes"),
        ("a filter by table", manager, "table=notes&status=open"),
    ] {
        let (found, cursors) = walk(http, query).await;
        assert_eq!(found, [first.clone(), last.clone()], "{case}, {query}");
        assert_eq!(cursors.len(), 1, "{case}, {query}");
        let (position, field) = cursors[0].split_once('.').unwrap();
        assert!(positions.contains(&position.parse().unwrap()) && field.is_empty(), "{cursors:?}");
    }
    // The page ends within an op of which it returned a conflict. The next page does not return that one again.
    let (found, cursors) = walk(manager, "status=automatic").await;
    assert_eq!(found, decided);
    assert_eq!(cursors, [decided[3].to_string()]);
}
