//! The list of conflicts: by filters, in pages, and nothing of what the caller may not see.

use serde_json::json;
use tidelog_core::ids::{ConflictId, Scope};
use tidelog_core::op::Op;
use tidelog_core::wire::ConflictView;
use tidelog_testkit::{Reader, assert_snapshot_of};

use crate::conflicts::world::World;

fn ids(conflicts: &[ConflictView]) -> Vec<ConflictId> {
    conflicts.iter().map(|row| row.conflict.clone()).collect()
}

#[tokio::test]
async fn nobody_sees_or_settles_what_they_may_not() {
    let mut world = World::start().await;
    let mut made = Vec::new();
    for (table, scope) in [("secrets", ""), ("fixed", ""), ("forms", "store-12"), ("forms", "")] {
        let in_scope = |op: Op| Op { scope: Scope::parse(scope).unwrap(), ..op };
        let outcome = world
            .meet(
                |office| in_scope(office.put(table, "r", json!({"canary": "q7x"}))),
                |tablet| in_scope(tablet.put(table, "r", json!({"canary": "q7y"}))),
            )
            .await;
        made.push(outcome.conflicts[0].clone());
    }
    let [secret, fixed, of_store_12, of_everyone] = made.try_into().unwrap();
    let staff = world.app.phone_as("staff", "staff", &["store-13"]).await;
    let visible = staff.conflicts("").await;
    assert_eq!(ids(&visible), [fixed.clone(), of_everyone.clone()]);
    assert_snapshot_of!(world.app, "conflicts_that_staff_of_another_store_sees", visible);
    for query in
        ["table=secrets", "table=secrets&record=r&scope=", "scope=store-12", "table=forms&record=r&scope=store-12"]
    {
        assert_eq!(staff.conflicts(query).await, [], "{query}");
    }
    let choice = json!({"choose": "loser"});
    for hidden in [&secret, &of_store_12] {
        staff.http.get(&format!("/api/v1/conflicts/{hidden}")).await.refused(404, "not_found");
        staff.try_resolve(hidden, &choice).await.refused(404, "not_found");
    }
    staff.try_resolve(&fixed, &choice).await.refused(403, "role_forbidden");
    assert_eq!(world.conflict(&fixed).await.status, "automatic");

    let analyst = world.app.analyst().await;
    assert_eq!(analyst.conflicts("").await.len(), 4);
    analyst.try_resolve(&of_everyone, &choice).await.refused(403, "forbidden");
    let other = world.app.another_workspace().await;
    let stranger = world.app.phone_of(other, "there", "manager").await;
    stranger.http.get("/api/v1/conflicts/2.canary").await.refused(404, "not_found");
    stranger.try_resolve(&of_everyone, &choice).await.refused(404, "not_found");
    assert_eq!(stranger.conflicts("").await, []);
    for id in ["never", "1.x", "99999.canary", "."] {
        world.office.http.get(&format!("/api/v1/conflicts/{id}")).await.refused(404, "not_found");
    }
    staff.resolve(&of_everyone, &choice).await;
    world.app.http("").get("/api/v1/conflicts").await.refused(401, "auth_missing");
}

/// Whether a conflict is one that a query asks for.
fn fits(query: &str, row: &ConflictView) -> bool {
    query.split('&').all(|part| match part.split_once('=').unwrap() {
        ("status", status) => row.status == status,
        ("table", table) => row.table.as_str() == table,
        ("record", record) => row.record.as_str() == record,
        (_, scope) => row.scope.as_str() == scope,
    })
}

#[tokio::test]
async fn conflicts_are_read_by_filters_and_in_pages() {
    let mut world = World::start().await;
    for number in 0..12 {
        let (table, record) = (if number % 3 == 0 { "notes" } else { "forms" }, format!("r{}", number % 4));
        let by = |name: &str| json!({"a": format!("{name} {number}"), "b": format!("{name} {number}")});
        world.meet_by_puts(table, &record, by("office"), by("tablet")).await;
    }
    let office = &world.office;
    let all = office.conflicts("").await;
    assert!(all.len() >= 24, "{}", all.len());
    assert!(all.is_sorted_by(|one, next| one.conflict.parts() < next.conflict.parts()));
    for query in [
        "status=open",
        "status=automatic",
        "table=notes",
        "record=r1",
        "table=forms&record=r2",
        "table=forms&record=r2&scope=",
        "table=notes&record=r0&scope=&status=open",
        "status=open&record=r0",
        "status=resolved",
    ] {
        let expected: Vec<_> = all.iter().filter(|row| fits(query, row)).cloned().collect();
        assert!(!expected.is_empty() || query == "status=resolved", "{query} finds something");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = office.conflicts_page(&format!("{query}&limit=3{after}")).await;
            assert!(page.conflicts.len() <= 3);
            found.append(&mut page.conflicts);
            if !page.more {
                break;
            }
            after = format!("&after={}", page.cursor.unwrap());
        }
        assert_eq!(found, expected, "{query}");
    }
    office.http.get("/api/v1/conflicts?status=lost").await.refused(422, "query_invalid");
    office.http.get("/api/v1/conflicts?table=_catalog%20x").await.refused(422, "query_invalid");
    office.http.get("/api/v1/conflicts?after=nonsense").await.refused(400, "cursor_invalid");
    office.http.get("/api/v1/conflicts?limit=0").await.refused(422, "query_invalid");
}

#[tokio::test]
async fn an_empty_page_has_a_cursor_from_which_later_conflicts_are_read() {
    let mut world = World::start().await;
    let queries = ["", "status=open", "table=notes", "table=notes&record=n&scope=", "changed_after=0"];
    let mut cursors = Vec::new();
    for query in queries {
        let page = world.office.conflicts_page(query).await;
        assert_eq!((page.conflicts.len(), page.more), (0, false), "{query}");
        cursors.push(page.cursor.unwrap());
    }
    let made = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await.conflicts;
    for (query, cursor) in queries.iter().zip(cursors) {
        assert_eq!(ids(&world.office.conflicts(&format!("{query}&after={cursor}")).await), made, "{query}");
    }
}
