//! The list of conflicts: by filters, in pages, and nothing of what the caller may not see.

use serde_json::json;
use tidelog_core::ids::Scope;
use tidelog_core::op::Op;
use tidelog_core::wire::{ConflictView, ResolveResponse};

use crate::conflicts::world::{World, ids, list, resolve};

#[tokio::test]
async fn nobody_sees_or_settles_what_they_may_not() {
    let mut world = World::start().await;
    let scoped = |op: Op| Op { scope: Scope::parse("store-12").unwrap(), ..op };
    let mut rows = Vec::new();
    for (table, scope) in [("secrets", ""), ("fixed", ""), ("forms", "store-12"), ("forms", "")] {
        let place = |op: Op| if scope.is_empty() { op } else { scoped(op) };
        let outcome = world
            .meet(
                |office| place(office.put(table, "r", json!({"canary": "q7x"}))),
                |tablet| place(tablet.put(table, "r", json!({"canary": "q7y"}))),
            )
            .await;
        rows.push(outcome.conflicts[0].to_string());
    }
    let [secret, fixed, of_store, open_to_all] = rows.try_into().unwrap();
    let staff = world.app.phone_as("staff", "staff", &["store-13"]).await;
    assert_eq!(ids(&list(&staff.http, "").await), [fixed.clone(), open_to_all.clone()]);
    for query in
        ["?table=secrets", "?table=secrets&record=r&scope=", "?scope=store-12", "?table=forms&record=r&scope=store-12"]
    {
        assert_eq!(ids(&list(&staff.http, query).await), [""; 0], "{query}");
    }
    let choice = json!({"choose": "loser"});
    for hidden in [&secret, &of_store] {
        staff.http.get(&format!("/api/v1/conflicts/{hidden}")).await.refused(404, "not_found");
        resolve(&staff.http, hidden, &choice).await.refused(404, "not_found");
    }
    resolve(&staff.http, &fixed, &choice).await.refused(403, "role_forbidden");
    assert_eq!(world.conflict(&fixed).await.status, "automatic");

    let analyst = world.app.analyst().await;
    assert_eq!(list(&analyst, "").await.conflicts.len(), 4);
    resolve(&analyst, &open_to_all, &choice).await.refused(403, "forbidden");
    let other = world.app.another_workspace().await;
    let stranger = world.app.phone_of(other, "there", "manager").await;
    stranger.http.get("/api/v1/conflicts/2.canary").await.refused(404, "not_found");
    resolve(&stranger.http, &open_to_all, &choice).await.refused(404, "not_found");
    assert_eq!(list(&stranger.http, "").await.conflicts.len(), 0);
    for id in ["never", "1.x", "99999.canary", "."] {
        world.office.http.get(&format!("/api/v1/conflicts/{id}")).await.refused(404, "not_found");
    }
    resolve(&staff.http, &open_to_all, &choice).await.good::<ResolveResponse>();
    world.app.http("").get("/api/v1/conflicts").await.refused(401, "auth_missing");
}

#[tokio::test]
async fn the_conflicts_is_read_by_filters_and_in_pages() {
    let mut world = World::start().await;
    for number in 0..12 {
        let (table, record) = (if number % 3 == 0 { "notes" } else { "forms" }, format!("r{}", number % 4));
        let value = |who: &str| json!({"a": format!("{who} {number}"), "b": format!("{who} {number}")});
        world
            .meet(
                |office| office.put(table, &record, value("office")),
                |tablet| tablet.put(table, &record, value("tablet")),
            )
            .await;
    }
    let http = &world.office.http;
    let all = list(http, "").await;
    assert!(!all.more && all.conflicts.len() >= 24, "{}", all.conflicts.len());
    let in_order =
        |rows: &[ConflictView]| rows.windows(2).all(|pair| pair[0].conflict.parts() < pair[1].conflict.parts());
    assert!(in_order(&all.conflicts));
    let fits = |query: &str, row: &ConflictView| {
        query.split('&').all(|part| match part.split_once('=').unwrap() {
            ("status", status) => row.status == status,
            ("table", table) => row.table.as_str() == table,
            ("record", record) => row.record.as_str() == record,
            (_, scope) => row.scope.as_str() == scope,
        })
    };
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
        let wanted: Vec<_> = all.conflicts.iter().filter(|row| fits(query, row)).cloned().collect();
        assert!(!wanted.is_empty() || query == "status=resolved", "{query} picks something");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = list(http, &format!("?{query}&limit=3{after}")).await;
            assert!(page.conflicts.len() <= 3);
            found.append(&mut page.conflicts);
            if !page.more {
                break;
            }
            after = format!("&after={}", page.cursor.unwrap());
        }
        assert_eq!(found, wanted, "{query}");
    }
    http.get("/api/v1/conflicts?status=lost").await.refused(422, "query_invalid");
    http.get("/api/v1/conflicts?table=_catalog%20x").await.refused(422, "query_invalid");
    http.get("/api/v1/conflicts?after=nonsense").await.refused(400, "cursor_invalid");
    http.get("/api/v1/conflicts?limit=0").await.refused(422, "query_invalid");
}
