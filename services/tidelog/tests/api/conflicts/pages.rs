//! Pages of the conflicts that end after the rows that they looked at, not after those that they found.

use serde_json::json;
use tidelog_core::ids::ConflictId;
use tidelog_core::wire::ConflictsResponse;
use tidelog_testkit::{Http, Phone};

use crate::conflicts::world::World;

/// Rows that one op of the conflicts below has: an op makes fewer than one page looks at, four make more.
const ROWS_OF_AN_OP: i64 = 6_000;

/// Every row that a query gives, page by page, and the cursors of pages that ended in the middle.
async fn walk(http: &Http, query: &str) -> (Vec<ConflictId>, Vec<String>) {
    let (mut rows, mut cursors, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page: ConflictsResponse = http.get(&format!("/api/v1/conflicts?{query}{after}")).await.good();
        rows.extend(page.conflicts.into_iter().map(|row| row.conflict));
        let Some(cursor) = page.cursor.filter(|_| page.more) else { return (rows, cursors) };
        assert!(!cursors.contains(&cursor), "each page gets on: {cursors:?}");
        after = format!("&after={cursor}");
        cursors.push(cursor);
    }
}

/// A row between two writers, made by the second one's op.
async fn meet(world: &mut World, record: &str) -> ConflictId {
    let note = |text: &str| json!({"text": text});
    let outcome = world
        .meet(
            |office: &mut Phone| office.put("notes", record, note("a")),
            |tablet: &mut Phone| tablet.put("notes", record, note("b")),
        )
        .await;
    outcome.conflicts[0].clone()
}

/// SEC-1, PULL-1 for the conflicts: a filter that fits few rows gives each once, and its cursor tells nothing of the others.
#[tokio::test]
async fn a_filtered_page_ends_at_a_place_that_names_no_hidden_field() {
    let mut world = World::start().await;
    let first = meet(&mut world, "first").await;
    // Four ops whose rows only managers see: of each one that a rule decided, the rest open.
    let mut decided = Vec::new();
    for number in 0..4 {
        let op = world.office.put("secrets", &format!("s{number}"), json!({}));
        let answer = world.office.push_and_wait(&[op]).await;
        decided.push(ConflictId::of(answer.runs[0].position, "a"));
    }
    let last = meet(&mut world, "last").await;
    let positions: Vec<i64> = decided.iter().map(|row| row.parts().unwrap().0.0).collect();
    let owner = world.app.database.connect().await;
    let sql = "INSERT INTO tidelog.conflicts (workspace, table_set, position, field, status, rule, table_name, scope, record,
            winner_position, winner_deleted, loser_position, loser_deleted, closed_position)
        SELECT $1, 0, position, CASE n WHEN 0 THEN 'a' ELSE 'canary' || n END, CASE n WHEN 0 THEN 'automatic' ELSE 'open' END,
            'manual', 'secrets', '', 's', 0, false, position, false, 0
        FROM unnest($2::bigint[]) AS position, generate_series(0, $3::bigint - 1) AS n";
    owner.execute(sql, &[&world.app.workspace.0, &positions, &ROWS_OF_AN_OP]).await.unwrap();

    let staff = world.app.phone_as("staff", "staff", &["*"]).await.http;
    let manager = &world.office.http;
    for (who, http, query) in [
        ("of who may not see the rest", &staff, ""),
        ("of who may not see the rest", &staff, "status=open"),
        ("of one table", manager, "table=notes"),
        ("of one table", manager, "table=notes&status=open"),
    ] {
        let (rows, cursors) = walk(http, query).await;
        assert_eq!(rows, [first.clone(), last.clone()], "{who}, {query}");
        assert_eq!(cursors.len(), 1, "{who}, {query}");
        let (position, field) = cursors[0].split_once('.').unwrap();
        assert!(positions.contains(&position.parse().unwrap()) && field.is_empty(), "{cursors:?}");
    }
    // The look ends within an op of which a row was given: the next page does not give that again.
    let (rows, cursors) = walk(manager, "status=automatic").await;
    assert_eq!(rows, decided);
    assert_eq!(cursors, [decided[3].to_string()]);
}
