//! What a device may do changes from a place in the log on.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tidelog::Roles;
use tidelog_core::ids::{Scope, TableName};
use tidelog_core::op::Op;
use tidelog_core::wire::{DeviceView, PullEnd, PullResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of, json_of};

const CATALOG: &str = "roles = [\"boss\", \"staff\"]\nmanage_devices = [\"boss\"]\n[tables.notes]\n[tables.plans]\n\
    read = [\"boss\"]\nwrite = [\"boss\"]\n[tables.shifts]\nread = [\"staff\"]";

/// A server with a boss's and a staff member's device.
async fn office(staff_scopes: &[&str]) -> (TestApp, Phone, Phone) {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let boss = app.phone_as("boss", "boss", &["*"]).await;
    let staff = app.phone_as("staff", "staff", staff_scopes).await;
    (app, boss, staff)
}

async fn change(boss: &Phone, phone: &Phone, patch: Json) -> DeviceView {
    boss.http.patch(&format!("/api/v1/devices/{}", phone.device), &patch).await.good()
}

fn in_scope(op: Op, scope: &str) -> Op {
    Op { scope: Scope::parse(scope).unwrap(), ..op }
}

/// `resync`, `drop`, `resync_scopes` and `drop_scopes`.
fn lists(page: &PullResponse) -> Json {
    json!([page.resync, page.drop, page.resync_scopes, page.drop_scopes])
}

/// The page after what the phone has pulled, which moves its cursor.
async fn next_page(phone: &mut Phone) -> PullResponse {
    let page = phone.pull_page(&format!("after={}", phone.cursor.unwrap())).await;
    phone.cursor = Some(page.cursor);
    page
}

#[tokio::test]
async fn another_role_holds_from_its_place_in_the_log_on() {
    let (app, mut boss, mut staff) = office(&["*"]).await;
    boss.saves("plans", "p1", json!({})).await;
    staff.saves("shifts", "s1", json!({})).await;
    staff.pull().await;
    let view = change(&boss, &staff, json!({"role": "boss", "name": "branch manager"})).await;
    assert_eq!((view.role.as_str(), view.name.as_str()), ("boss", "branch manager"));
    assert_eq!(staff.saves("plans", "p2", json!({})).await.rejected, []);
    let page = next_page(&mut staff).await;
    assert_eq!(lists(&page), json!([["plans"], ["shifts"], [], []]));
    assert_snapshot_of!(app, "a_page_on_which_a_device_becomes_boss", page);
    assert_eq!(lists(&next_page(&mut staff).await), json!([[], [], [], []]), "only the page with the event says so");
    app.folded().await;
    assert_eq!(staff.records_page("tables=plans").await.records.len(), 2);
    let event = staff.pull_ops().await;
    assert!(event.is_empty());
}

#[tokio::test]
async fn a_narrowed_device_that_keeps_its_cursor_is_told_what_to_forget() {
    let (app, mut boss, mut staff) = office(&["a", "b"]).await;
    for scope in ["a", "b", "c"] {
        let op = in_scope(boss.put("notes", "n", json!({"of": scope})), scope);
        boss.push(&[op]).await;
    }
    staff.pull().await;
    change(&boss, &staff, json!({"scopes": ["b", "c"]})).await;
    for scope in ["a", "b", "c"] {
        let op = in_scope(boss.put("notes", "later", json!({"of": scope})), scope);
        boss.push(&[op]).await;
    }
    let op = in_scope(staff.put("notes", "mine", json!({})), "a");
    assert_eq!(staff.push(&[op]).await.rejected[0].code, "scope_forbidden");
    let page = next_page(&mut staff).await;
    assert_eq!(lists(&page), json!([[], [], ["c"], ["a"]]));
    let scopes: Vec<_> =
        page.events.iter().map(|event| event.scope.as_str()).filter(|scope| !scope.is_empty()).collect();
    assert_eq!(scopes, ["b", "c"]);
    app.folded().await;
    let records = staff.records().await;
    let mut seen: Vec<_> = records.iter().map(|record| record.scope.as_str()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["b", "b", "c", "c"]);
}

#[tokio::test]
async fn who_loses_all_scopes_forgets_all_and_reads_what_is_left() {
    let (_app, mut boss, mut staff) = office(&["*"]).await;
    boss.saves("notes", "n", json!({})).await;
    staff.pull().await;
    change(&boss, &staff, json!({"scopes": ["b", "c"]})).await;
    assert_eq!(lists(&next_page(&mut staff).await), json!([[], [], ["b", "c"], ["*"]]));
    change(&boss, &staff, json!({"scopes": ["*"]})).await;
    change(&boss, &staff, json!({"scopes": []})).await;
    change(&boss, &staff, json!({"scopes": ["d"]})).await;
    assert_eq!(lists(&next_page(&mut staff).await), json!([[], [], ["d"], ["*"]]));
    change(&boss, &staff, json!({"scopes": ["*"]})).await;
    assert_eq!(lists(&next_page(&mut staff).await), json!([[], [], ["*"], []]));
}

/// The other gateway remembers what the device was. A page that passes the place of the change must not be read by it.
#[tokio::test]
async fn no_gateway_passes_the_place_of_a_change_with_what_was_before() {
    let (app, mut boss, mut staff) = office(&["*"]).await;
    let other = app.another_server(Roles { projector: false, ..Roles::ALL }).await;
    boss.saves("plans", "p1", json!({})).await;
    staff.pull().await;
    let mut there = staff.clone().by_way_of(other.address().unwrap());
    for role in ["boss", "staff", "boss"] {
        there.pull_page("limit=1").await;
        change(&boss, &staff, json!({"role": role})).await;
        boss.saves("plans", "p2", json!({})).await;
        app.folded().await;
        let status = there.status().await;
        assert_eq!(status.records.contains_key("plans"), role == "boss", "the status goes by the change too");
        assert_eq!(status.digests.contains_key("plans"), role == "boss");
        let page = next_page(&mut there).await;
        let has_plans = page.events.iter().any(|event| event.table.as_str() == "plans");
        assert_eq!(has_plans, role == "boss");
        let (gained, lost) = (json!([["plans"], ["shifts"], [], []]), json!([["shifts"], ["plans"], [], []]));
        assert_eq!(lists(&page), if role == "boss" { gained } else { lost });
        app.folded().await;
        let tables: Vec<_> = there.records().await.iter().map(|record| record.table.to_string()).collect();
        assert_eq!(tables.contains(&"plans".to_owned()), role == "boss");
    }
    other.stop().await;
}

#[tokio::test]
async fn a_change_is_in_force_for_pushes_through_any_gateway_within_seconds() {
    let (app, mut boss, mut staff) = office(&["*"]).await;
    let other = app.another_server(Roles { projector: false, ..Roles::ALL }).await;
    boss.saves("plans", "p1", json!({})).await;
    let mut there = staff.clone().by_way_of(other.address().unwrap());
    assert_eq!(there.saves_in_vain("plans", "p", json!({})).await.code, "role_forbidden");
    change(&boss, &staff, json!({"role": "boss"})).await;
    staff.next_seq = there.next_seq;
    assert_eq!(staff.saves("plans", "p", json!({})).await.rejected, [], "at once where it was changed");
    there.next_seq = staff.next_seq;
    let holds = async { while !there.saves("plans", "p", json!({})).await.rejected.is_empty() {} };
    tokio::time::timeout(Duration::from_secs(5), holds).await.expect("within 5 s");
    other.stop().await;
}

#[tokio::test]
async fn records_and_lines_say_what_changed_since_their_cursor() {
    let (app, mut boss, mut staff) = office(&["a"]).await;
    boss.saves("plans", "p1", json!({})).await;
    let op = in_scope(boss.put("notes", "n", json!({})), "b");
    boss.push(&[op]).await;
    staff.saves("shifts", "s1", json!({})).await;
    staff.pull().await;
    app.folded().await;
    let before = staff.records_page("").await.end.cursor;
    change(&boss, &staff, json!({"role": "boss", "scopes": ["b"]})).await;
    app.folded().await;
    let expected = json!([["plans"], ["shifts"], ["b"], ["a"]]);
    let end = staff.records_page(&format!("after={before}")).await.end;
    assert_eq!(json!([end.resync, end.drop, end.resync_scopes, end.drop_scopes]), expected);
    let again = staff.records_page(&format!("after={}", end.cursor)).await.end;
    assert_eq!(json!([again.resync, again.drop, again.resync_scopes, again.drop_scopes]), json!([[], [], [], []]));
    let path = format!("/api/v1/sync/records?after={before}");
    let line = staff.http.lines(&path).await.pop().unwrap();
    assert_eq!(json!([line["resync"], line["drop"], line["resync_scopes"], line["drop_scopes"]]), expected);
    let path = format!("/api/v1/sync/pull?after={}", staff.cursor.unwrap());
    let end: PullEnd = serde_json::from_value(staff.http.lines(&path).await.pop().unwrap()).unwrap();
    assert_eq!(json!([end.resync, end.drop, end.resync_scopes, end.drop_scopes]), expected);
}

#[tokio::test]
async fn a_waiting_pull_is_told_of_a_change_at_once() {
    let (app, mut boss, mut staff) = office(&["*"]).await;
    boss.saves("plans", "p1", json!({})).await;
    staff.pull().await;
    let query = format!("wait=20000&tables=notes&after={}", staff.cursor.unwrap());
    let (page, _) = tokio::join!(staff.pull_page(&query), async {
        app.has_open_stream().await;
        change(&boss, &staff, json!({"role": "boss"})).await
    });
    assert_eq!(names(&page.resync), ["plans"]);
}

fn names(tables: &[TableName]) -> Vec<&str> {
    tables.iter().map(TableName::as_str).collect()
}

/// Its registration comes first, so that the log says what changed.
#[tokio::test]
async fn a_device_that_never_pushed_is_changed_too() {
    let (app, mut boss, mut staff) = office(&["a"]).await;
    assert_eq!(change(&boss, &staff, json!({"scopes": ["b"]})).await.scopes.to_list(), ["b"], "in an empty log");
    boss.saves("plans", "p1", json!({})).await;
    staff.pull().await;
    change(&boss, &staff, json!({"role": "boss"})).await;
    let page = next_page(&mut staff).await;
    assert_eq!(names(&page.resync), ["plans"]);
    let fields: Vec<_> = page.events.iter().map(|event| json_of(event.fields.as_ref().unwrap())).collect();
    assert_eq!(fields, [json!({"role": "staff", "scopes": ["b"]}), json!({"role": "boss", "scopes": ["b"]})]);
    assert_eq!((page.events[1].base.0, page.events[1].batch.0), (4, 5));
    staff.saves("plans", "p2", json!({})).await;
    app.folded().await;
    assert_eq!(staff.pull().await.len(), 1, "its event is in the log already");
}

#[tokio::test]
async fn nothing_is_appended_for_a_name_or_for_no_change() {
    let (_app, mut boss, staff) = office(&["a"]).await;
    boss.saves("plans", "p1", json!({})).await;
    let head = boss.status().await.head;
    for patch in
        [json!({}), json!({"name": "till 2"}), json!({"role": "staff", "scopes": ["a"]}), json!({"name": null})]
    {
        change(&boss, &staff, patch).await;
    }
    assert_eq!((boss.status().await.head, boss.device(staff.device).await.name.as_str()), (head, "till 2"));
}

#[tokio::test]
async fn only_who_may_manage_devices_changes_one_and_grants_what_it_has() {
    let (app, boss, staff) = office(&["*"]).await;
    let branch = app.phone_as("branch", "boss", &["a", "b"]).await;
    let path = format!("/api/v1/devices/{}", staff.device);
    staff.http.patch(&path, &json!({"name": "x"})).await.refused(403, "forbidden");
    app.analyst().await.patch(&path, &json!({"name": "x"})).await.refused(403, "forbidden");
    branch.http.patch(&path, &json!({"scopes": ["*"]})).await.refused(403, "forbidden");
    branch.http.patch(&path, &json!({"scopes": ["c"]})).await.refused(403, "forbidden");
    assert_eq!(change(&branch, &staff, json!({"scopes": ["", "a"]})).await.scopes.to_list(), ["", "a"]);
    for (patch, code) in [
        (json!({"role": "nobody"}), "name_invalid"),
        (json!({"role": ""}), "name_invalid"),
        (json!({"name": ""}), "name_invalid"),
        (json!({"scopes": vec!["s"; 1_001]}), "name_invalid"),
        (json!({"scopes": "a"}), "shape_invalid"),
        (json!({"platform": "ios"}), "unknown_member"),
    ] {
        boss.http.patch(&path, &patch).await.refused(422, code);
    }
    let unknown = "/api/v1/devices/00000000-0000-4000-8000-000000000001";
    boss.http.patch(unknown, &json!({"name": "x"})).await.refused(404, "not_found");
    change(&boss, &branch, json!({"role": "staff"})).await;
    branch.http.patch(&path, &json!({"role": "boss"})).await.refused(403, "forbidden");
}
