//! `GET /conflicts?changed_after=`: the conflicts in the order in which they last changed, for a client that keeps a list of
//! them.

use std::collections::BTreeMap;

use serde_json::json;
use tidelog_core::ids::{ConflictId, Position, Scope};
use tidelog_core::op::Op;
use tidelog_core::wire::{ConflictView, ConflictsResponse, Encoding};
use tidelog_testkit::{Http, Reader, assert_snapshot_of};

use crate::conflicts::world::World;

fn ids(conflicts: &[ConflictView]) -> Vec<ConflictId> {
    conflicts.iter().map(|row| row.conflict.clone()).collect()
}

/// Every conflict that a query finds, in pages of `limit`, and the cursor of the last page.
async fn in_pages_of(http: &Http, limit: usize, query: &str) -> (Vec<ConflictView>, String) {
    pages_after(http, limit, query, "").await
}

/// The same after a cursor.
async fn pages_after(http: &Http, limit: usize, query: &str, cursor: &str) -> (Vec<ConflictView>, String) {
    let (mut found, mut after) = (Vec::new(), format!("&after={cursor}"));
    loop {
        let page: ConflictsResponse = http.get(&format!("/api/v1/conflicts?{query}&limit={limit}{after}")).await.good();
        assert!(page.conflicts.len() <= limit);
        found.extend(page.conflicts);
        let cursor = page.cursor.unwrap();
        if !page.more {
            return (found, cursor);
        }
        assert_ne!(after, format!("&after={cursor}"), "each page makes progress");
        after = format!("&after={cursor}");
    }
}

/// A conflict about a note with two fields: the ids of its rows.
async fn meet(world: &mut World, record: &str) -> [ConflictId; 2] {
    let by = |name: &str| json!({"text": name, "title": name});
    world.meet_by_puts("notes", record, by("office"), by("tablet")).await.conflicts.try_into().unwrap()
}

#[tokio::test]
async fn a_conflict_comes_again_each_time_that_it_changes() {
    let mut world = World::start().await;
    let [text, title] = meet(&mut world, "first").await;
    let [other_text, other_title] = meet(&mut world, "second").await;
    let made = world.office.conflicts("changed_after=0").await;
    assert_eq!(ids(&made), [text.clone(), title.clone(), other_text.clone(), other_title.clone()]);
    assert!(made.iter().all(|row| row.changed_at == row.conflict.parts().unwrap().0));
    let known = made[3].changed_at.0;

    // Somebody settles one of the first. Then the office, which knows of everything, deletes the second note: that overtakes
    // two at once.
    let settled = world.settle(&text, json!({"choose": "loser"})).await.position;
    world.both_pull().await;
    let op = world.office.delete("notes", "second");
    let overtaken = world.office.push_and_wait(&[op]).await.runs[0].position;
    let changed = world.office.conflicts(&format!("changed_after={known}")).await;
    let rows: Vec<_> = changed
        .iter()
        .map(|row| (row.conflict.clone(), row.status.as_str(), row.changed_at, row.resolved_by))
        .collect();
    let expected = [
        (text.clone(), "resolved", settled, Some(settled)),
        (other_text, "overtaken", overtaken, Some(overtaken)),
        (other_title, "overtaken", overtaken, Some(overtaken)),
    ];
    assert_eq!(rows, expected);
    assert_snapshot_of!(world.app, world.office.conflicts_page(&format!("changed_after={known}&limit=2")).await);
    assert_eq!(world.conflict(&text).await.changed_at, settled, "the same in every view of it");
    assert_eq!(ids(&world.office.conflicts(&format!("changed_after={known}&status=resolved")).await), [text]);
    assert_eq!(world.office.conflicts(&format!("changed_after={overtaken}")).await, []);
    // Pages of every size, in both encodings, resume between the two that one event overtook.
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let http = world.office.http.clone().speaking(encoding);
        let (all, _) = in_pages_of(&http, 10, "changed_after=0").await;
        assert_eq!(ids(&all)[0], title, "the one that has not changed since");
        for limit in 1..5 {
            assert_eq!(in_pages_of(&http, limit, "changed_after=0").await.0, all, "pages of {limit}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_kept_by_changes_equals_the_whole_list() {
    let mut world = World::start().await;
    let (mut kept, mut cursor) = (BTreeMap::new(), String::new());
    for round in 0..4 {
        let [text, title] = meet(&mut world, &format!("r{round}")).await;
        // Of each two rows one is settled at once and the other one round later.
        world.settle(&text, json!({"choose": "winner"})).await;
        if round > 0 {
            let open = world.office.conflicts("status=open").await.remove(0).conflict;
            assert_ne!(open, title);
            world.settle(&open, json!({"value": round})).await;
        }
        let (changed, last) = pages_after(&world.office.http, 2, "changed_after=0", &cursor).await;
        assert!(!changed.is_empty() && changed.len() <= 4, "{} rows of this round's changes", changed.len());
        kept.extend(
            changed.into_iter().map(|row| (row.conflict.parts().map(|(at, field)| (at, field.to_owned())), row)),
        );
        cursor = last;
    }
    assert_eq!(kept.into_values().collect::<Vec<_>>(), world.office.conflicts("").await);
}

#[tokio::test]
async fn a_device_sees_the_changes_of_its_tables_and_scopes_alone() {
    let mut world = World::start().await;
    let mut made = Vec::new();
    for (table, scope) in [("secrets", ""), ("notes", "store-12"), ("notes", "store-13"), ("notes", "")] {
        let in_scope = |op: Op| Op { scope: Scope::parse(scope).unwrap(), ..op };
        let office = json!({"canary": "q7x"});
        let outcome = world
            .meet(
                |phone| in_scope(phone.put(table, "r", office)),
                |phone| in_scope(phone.put(table, "r", json!({"canary": "q7y"}))),
            )
            .await;
        made.push(outcome.conflicts[0].clone());
    }
    let [_secret, of_store_12, of_store_13, of_everyone] = <[ConflictId; 4]>::try_from(made).unwrap();
    let staff = world.app.phone_as("staff", "staff", &["store-13"]).await;
    assert_eq!(ids(&staff.conflicts("changed_after=0").await), [of_store_13.clone(), of_everyone.clone()]);
    world.settle(&of_store_12, json!({"choose": "winner"})).await;
    world.settle(&of_store_13, json!({"choose": "winner"})).await;
    for limit in 1..4 {
        let (found, _) = in_pages_of(&staff.http, limit, "changed_after=0").await;
        assert_eq!(ids(&found), [of_everyone.clone(), of_store_13.clone()]);
    }
    for query in ["table=secrets", "scope=store-12", "table=notes&record=r&scope=store-12"] {
        assert_eq!(staff.conflicts(&format!("changed_after=0&{query}")).await, [], "{query}");
    }
    let other = world.app.another_workspace().await;
    assert_eq!(world.app.phone_of(other, "there", "manager").await.conflicts("changed_after=0").await, []);
    assert_eq!(world.app.analyst().await.conflicts("changed_after=0").await.len(), 4);
}

/// Conflicts that the test gives each of four ops, all closed by one event: more than a page looks at.
const CONFLICTS_OF_AN_OP: i64 = 6_000;

/// SEC-1, PULL-1: a filter that finds few rows gives each one once, and its cursor tells nothing about others.
#[tokio::test]
async fn a_page_of_changes_ends_at_a_place_that_names_no_hidden_field() {
    let mut world = World::start().await;
    let [first, _] = meet(&mut world, "first").await;
    let mut positions = Vec::new();
    for number in 0..4 {
        let op = world.office.put("secrets", &format!("s{number}"), json!({}));
        positions.push(world.office.push_and_wait(&[op]).await.runs[0].position.0);
    }
    let [last, _] = meet(&mut world, "last").await;
    let closed = last.parts().unwrap().0.0 + 1;
    let owner = world.app.database.connect().await;
    let sql =
        "INSERT INTO tidelog.conflicts (workspace, table_set, position, field, status, rule, table_name, scope, record,
            winner_position, winner_deleted, loser_position, loser_deleted, closed_position)
        SELECT $1, 0, position, 'canary' || n, 'overtaken', 'manual', 'secrets', '', 's', 0, false, position, false, $4
        FROM unnest($2::bigint[]) AS position, generate_series(1, $3::bigint) AS n";
    owner.execute(sql, &[&world.app.workspace.0, &positions, &CONFLICTS_OF_AN_OP, &closed]).await.unwrap();
    // After all of these the first one is settled.
    let settled = world.settle(&first, json!({"choose": "winner"})).await.position;
    assert!(settled.0 >= closed, "the order of the test");

    let staff = world.app.phone_as("staff", "staff", &["*"]).await;
    for query in ["", "&table=notes"] {
        let http = if query.is_empty() { &staff.http } else { &world.office.http };
        let (mut found, mut cursors, mut after) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page: ConflictsResponse =
                http.get(&format!("/api/v1/conflicts?changed_after=0{query}{after}")).await.good();
            found.extend(ids(&page.conflicts));
            let cursor = page.cursor.unwrap();
            if !page.more {
                break;
            }
            after = format!("&after={cursor}");
            cursors.push(cursor);
        }
        assert_eq!(found.len(), 4, "{query}");
        assert_eq!(found.last(), Some(&first), "{query}: each once, the one that changed last at the end");
        assert_eq!(cursors.len(), 1, "{query}");
        assert!(cursors[0].starts_with(&format!("c.1.{closed}.")) && cursors[0].ends_with('.'), "{cursors:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_changes_is_of_its_order_and_of_its_generation() {
    let mut world = World::start().await;
    let empty = world.office.conflicts_page("changed_after=7").await;
    assert_eq!((empty.conflicts.len(), empty.more, empty.cursor.as_deref()), (0, false, Some("c.1.8.0.")));
    let [text, _] = meet(&mut world, "r").await;
    let page = world.office.conflicts_page("changed_after=0&limit=1").await;
    let cursor = page.cursor.unwrap();
    let get = async |query: &str| world.office.http.get(&format!("/api/v1/conflicts?{query}")).await;
    get(&format!("after={cursor}")).await.refused(400, "cursor_invalid");
    get(&format!("changed_after=0&after={text}")).await.refused(400, "cursor_invalid");
    get("changed_after=0&after=c.1.2").await.refused(400, "cursor_invalid");
    for query in ["changed_after=", "changed_after=-1", "changed_after=9223372036854775808", "changed_after=x"] {
        get(query).await.refused(422, "query_invalid");
    }
    let last: ConflictsResponse = get("changed_after=9223372036854775807").await.good();
    assert_eq!(last.conflicts, []);
    // The records were rebuilt: their conflicts may be others.
    let owner = world.app.database.connect().await;
    let sql = "UPDATE tidelog.checkpoints SET generation = generation + 1 WHERE workspace = $1 AND live";
    owner.execute(sql, &[&world.app.workspace.0]).await.unwrap();
    get(&format!("changed_after=0&after={cursor}")).await.refused(409, "cursor_diverged");
    let anew: ConflictsResponse = get("changed_after=0").await.good();
    assert_eq!((anew.conflicts.len(), anew.conflicts[0].changed_at), (2, Position(5)));
}
