//! Who a device is stands in the log: a `_devices` event before its first append, and one for each change.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{EventView, PullResponse, RegisterResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of, json_of};

fn tables(events: &[EventView]) -> Vec<&str> {
    events.iter().map(|event| event.table.as_str()).collect()
}

/// The `_devices` events of a phone, as a reader sees them.
async fn events_of(reader: &impl Reader, phone: &Phone) -> Vec<Json> {
    let events = reader.pull_page("").await.events;
    let own = events.into_iter().filter(|event| event.table.as_str() == "_devices");
    let own = own.filter(|event| event.record.as_str() == phone.device.to_string());
    own.map(|event| json_of(&event.fields.unwrap())).collect()
}

/// Registers a phone with more members than its name.
async fn register(app: &TestApp, name: &str, members: Json) -> Phone {
    let mut body = json!({"name": name});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let key = app.key("member", &["s"]).await;
    let registered: RegisterResponse = app.http(&key).post("/api/v1/devices", &body).await.good();
    app.name_device(registered.device, name);
    Phone::of(app.address(), &registered)
}

#[tokio::test]
async fn who_a_device_is_stands_in_the_log_before_its_first_op() {
    let app = TestApp::start().await;
    let mut phone = app.phone_as("phone", "member", &["s"]).await;
    assert_eq!(phone.pull().await, [], "a registration alone appends nothing");
    let pushed = phone.saves("notes", "a", json!({})).await;
    assert_eq!((pushed.runs[0].position.0, pushed.head.0), (3, 3));
    phone.saves("notes", "b", json!({})).await;
    let page = phone.pull_page("").await;
    assert_eq!(tables(&page.events), ["_catalog", "_devices", "notes", "notes"]);
    assert_snapshot_of!(app, "a_devices_event_of_its_own", page.events[1]);
    let change =
        "SELECT concat_ws(' ', position, device, replaces, replaces_through, role, scopes) FROM tidelog.device_changes";
    let rows = app.database.connect().await.query(change, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, String>(0), format!("2 {} member {{s}}", phone.device));
}

#[tokio::test]
async fn a_refused_or_empty_push_says_nothing_of_its_device() {
    let app = TestApp::start().await;
    let (mut phone, mut other) = (app.phone("phone").await, app.phone("other").await);
    other.saves("notes", "a", json!({})).await;
    phone.push(&[]).await;
    phone.next_seq = 5;
    let op = phone.put("notes", "b", json!({}));
    phone.try_push(&[op]).await.refused(409, "seq_gap");
    assert_eq!(phone.status().await.head.0, 3);
    phone.next_seq = 1;
    phone.saves("notes", "b", json!({})).await;
    phone.next_seq = 1;
    let again = phone.saves("notes", "b", json!({})).await;
    assert_eq!((again.duplicates, again.head.0), (1, 5), "and a repeated push says nothing again");
}

/// Some of them share a transaction: each op comes after the event of its own device, and positions are dense.
#[tokio::test]
async fn devices_that_push_for_the_first_time_together_each_get_their_event_first() {
    let app = TestApp::start().await;
    let mut phones = Vec::new();
    for number in 0..12 {
        phones.push(app.phone(&format!("phone {number}")).await);
    }
    let pushes = phones.iter_mut().map(|phone| {
        let ops = [phone.put("notes", "a", json!({})), phone.put("notes", "b", json!({}))];
        let phone = &*phone;
        async move { phone.push(&ops).await }
    });
    join_all(pushes).await;
    let events = app.analyst().await.pull_page("").await.events;
    assert_eq!(events.iter().map(|event| event.position.0).collect::<Vec<_>>(), (1..=37).collect::<Vec<_>>());
    for phone in &phones {
        let first = events.iter().position(|event| event.device == phone.device).unwrap();
        let before = &events[first - 1];
        assert_eq!((before.table.as_str(), before.record.as_str()), ("_devices", phone.device.to_string().as_str()));
        assert_eq!((before.base.0, before.batch), (before.position.0 - 1, before.position));
    }
    app.folded().await;
}

#[tokio::test]
async fn the_append_function_puts_the_events_of_one_group_between_its_batches() {
    let app = TestApp::start().await;
    let (one, two) = (app.phone("one").await, app.phone("two").await);
    let op = |device, seq| format!("({device}, {seq}, 0, NULL, 7, 1, 'notes', 'a', '', '', '', '', '\\x80')");
    let batch = |phone: &Phone, first: i64, count: i64, first_op: i64, before: i64| {
        format!(
            "('{}', '{}', 'member', {first}, {count}, {first_op}, {before}, 0, NULL, NULL)",
            app.workspace, phone.device
        )
    };
    let group = format!(
        "SELECT concat_ws(' ', status, last_seq, head, shift) FROM tidelog.append(5, 1,
            ARRAY[{}, {}]::tidelog.append_batch[], ARRAY[{}, {}, {}]::tidelog.append_op[])",
        batch(&one, 1, 2, 1, 0),
        batch(&two, 1, 1, 3, 2),
        op(1, 1),
        op(1, 2),
        op(2, 1)
    );
    let owner = app.database.connect().await;
    let texts = async |sql: &str| -> Vec<String> {
        owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(texts(&group).await, ["appended 2 4 2", "appended 1 6 5"]);
    let log = "SELECT concat_ws(' ', position, seq, base, batch_offset, table_name) FROM tidelog.log ORDER BY position";
    let expected =
        ["1 1 0 0 _catalog", "2 2 1 0 _devices", "3 1 0 0 notes", "4 2 0 1 notes", "5 3 4 0 _devices", "6 1 0 0 notes"];
    assert_eq!(texts(log).await, expected);
    let devices = "SELECT concat_ws(' ', event_position, event_fields, event_digest) FROM tidelog.devices ORDER BY 1";
    assert_eq!(texts(devices).await, ["2", "5"]);
}

#[tokio::test]
async fn others_do_not_see_the_role_and_scopes_of_a_device() {
    let app = TestApp::start().await;
    let (mut phone, other) =
        (app.phone_as("phone", "member", &["s"]).await, app.phone_as("other", "member", &["t"]).await);
    phone.saves("notes", "a", json!({})).await;
    let whole = json!({"role": "member", "scopes": ["s"]});
    assert_eq!(events_of(&phone, &phone).await, std::slice::from_ref(&whole));
    assert_eq!(events_of(&other, &phone).await, [json!({})]);
    assert_eq!(events_of(&app.analyst().await, &phone).await, [whole]);
}

/// The same events from a page of the database, from a tail, as lines and as a sequence, whatever `tables` says.
#[tokio::test]
async fn every_form_of_a_pull_hides_and_shows_the_same() {
    let app = TestApp::start().await;
    let mut phone = app.phone_as("phone", "member", &["s"]).await;
    let mut other = app.phone_as("other", "member", &["t"]).await;
    let start = phone.pull_page("").await.cursor;
    phone.saves("notes", "a", json!({})).await;
    for number in 0..40 {
        other.saves("tasks", &format!("t{number}"), json!({"n": number})).await;
    }
    let readers = [phone.http.clone(), other.http.clone(), app.analyst().await];
    for reader in &readers {
        for tables in ["", "&tables=notes", "&tables=_devices", "&tables=nothing"] {
            let from_start = reader.pull_page(&format!("limit=1000{tables}")).await.events;
            let first = reader.pull_page("limit=1").await.cursor;
            let rest = reader.pull_page(&format!("limit=1000&after={first}{tables}")).await.events;
            assert_eq!(rest, from_start[1..], "{tables}");
            let path = format!("/api/v1/sync/pull?after={start}{tables}");
            let mut lines = reader.lines(&path).await;
            lines.pop();
            assert_eq!(Json::from(lines), json_of(&from_start), "{tables}");
            let pages = reader.pages(&path).await;
            let events: Vec<_> = pages.into_iter().flat_map(|page| page.events).collect();
            assert_eq!(events, from_start, "{tables}");
            let devices = from_start.iter().filter(|event| event.table.as_str() == "_devices");
            assert_eq!(devices.count(), 2, "{tables}");
        }
    }
    let folds = readers.iter().map(async |reader| {
        let events = reader.pull_page("limit=1000").await.events;
        Phone::fold(&events).records().map(|(key, record)| (key.clone(), record.clone())).collect::<Vec<_>>()
    });
    let folds = join_all(folds).await;
    assert!(folds.iter().all(|fold| *fold == folds[0]), "what is hidden makes no difference to a replica");
}

#[tokio::test]
async fn devices_events_make_no_record_history_or_digest() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    app.folded().await;
    let analyst = app.analyst().await;
    assert_eq!(analyst.records().await.len(), 1);
    let status = analyst.status().await;
    assert_eq!(status.digests.keys().map(ToString::to_string).collect::<Vec<_>>(), ["notes"]);
    let path = format!("/api/v1/records/_devices/{}", phone.device);
    analyst.get(&path).await.refused(404, "not_found");
    analyst.get(&format!("{path}/history")).await.refused(404, "not_found");
    phone.http.get(&path).await.refused(404, "not_found");
    phone.http.get(&format!("{path}/history")).await.refused(404, "not_found");
    let op = json!({"ops": [{"seq": 2, "table": "_devices", "record": phone.device, "kind": "put"}]});
    phone.http.post("/api/v1/sync/push", &op).await.refused(422, "name_invalid");
}

#[tokio::test]
async fn a_device_says_what_it_made_under_another_name() {
    let app = TestApp::start().await;
    let mut lost = app.phone("lost tablet").await;
    for _ in 0..3 {
        lost.saves("notes", "a", json!({})).await;
    }
    let mut by_default = register(&app, "restored", json!({"replaces": lost.device})).await;
    lost.saves("notes", "a", json!({})).await;
    by_default.saves("notes", "a", json!({})).await;
    let mut clone = register(&app, "clone", json!({"replaces": lost.device, "replaces_through": 2})).await;
    clone.saves("notes", "a", json!({})).await;
    let mut next = register(&app, "next", json!({"replaces": by_default.device})).await;
    next.saves("notes", "a", json!({})).await;
    let said =
        |device, through| json!({"role": "member", "scopes": ["s"], "replaces": device, "replaces_through": through});
    assert_eq!(events_of(&by_default, &by_default).await, [said(lost.device, 3)], "the last one when it registered");
    assert_eq!(events_of(&clone, &clone).await, [said(lost.device, 2)]);
    assert_eq!(events_of(&next, &next).await, [said(by_default.device, 1)]);
    let seen_by_others = json!({"replaces": lost.device, "replaces_through": 2});
    assert_eq!(events_of(&next, &clone).await, [seen_by_others]);
    let rows = "SELECT concat_ws(' ', replaces, replaces_through) FROM tidelog.device_changes
        WHERE replaces IS NOT NULL ORDER BY position";
    let rows = app.database.connect().await.query(rows, &[]).await.unwrap();
    let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows, [format!("{} 3", lost.device), format!("{} 2", lost.device), format!("{} 1", by_default.device)]);
    assert_eq!(next.device(clone.device).await.replaces, Some(lost.device));
}

/// All of them write without having read anything. What the lost tablet made up to seq 2 is the restored one's own.
#[tokio::test]
async fn a_restored_tablet_does_not_conflict_with_itself_and_a_clones_twin_does() {
    let app = TestApp::build().catalog("roles = [\"member\"]\n[tables.notes]\nrule = \"manual\"").start().await;
    let mut lost = app.phone("lost tablet").await;
    for text in ["first", "second"] {
        let op = lost.put("notes", "n", json!({"text": text}));
        assert_eq!(lost.lands(op).await.verdict, Verdict::Applied);
    }
    let mut restored = register(&app, "restored", json!({"replaces": lost.device})).await;
    let op = restored.put("notes", "n", json!({"text": "third"}));
    assert_eq!(restored.lands(op).await.verdict, Verdict::Applied);
    let op = lost.put("notes", "n", json!({"text": "the twin's"}));
    assert_eq!(lost.lands(op).await.verdict, Verdict::Conflict, "who goes on under the old name is a stranger");
    let mut next = register(&app, "next", json!({"replaces": restored.device})).await;
    let op = next.put("notes", "n", json!({"text": "fourth"}));
    assert_eq!(next.lands(op).await.verdict, Verdict::Applied, "back through a chain");
    assert_eq!(next.fields("notes", "n").await, json!({"text": "fourth"}));
}

#[tokio::test]
async fn replaces_through_is_a_seq_beside_replaces() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let http = app.http(&app.key("member", &[]).await);
    for bad in [
        json!({"name": "x", "replaces_through": 3}),
        json!({"name": "x", "replaces": phone.device, "replaces_through": -1}),
        json!({"name": "x", "replaces": phone.device, "replaces_through": "3"}),
    ] {
        http.post("/api/v1/devices", &bad).await.refused(422, "shape_invalid");
    }
    let stranger = json!({"replaces": "00000000-0000-4000-8000-000000000001"});
    let mut replacing = register(&app, "of an unknown one", stranger).await;
    replacing.saves("notes", "a", json!({})).await;
    assert_eq!(events_of(&replacing, &replacing).await[0]["replaces_through"], 0);
}

#[tokio::test]
async fn a_repeated_registration_says_who_the_device_is_once() {
    let app = TestApp::start().await;
    let http = app.http(&app.key("member", &[]).await);
    let body = json!({"name": "phone", "nonce": "0123456789abcdef"});
    let mut phones = Vec::new();
    for _ in 0..2 {
        phones.push(Phone::of(app.address(), &http.post("/api/v1/devices", &body).await.good()));
    }
    phones[1].saves("notes", "a", json!({})).await;
    let again = Phone::of(app.address(), &http.post("/api/v1/devices", &body).await.good());
    let mut again = Phone { next_seq: 2, ..again };
    again.saves("notes", "a", json!({})).await;
    assert_eq!(events_of(&again, &phones[0]).await.len(), 1);
}

#[tokio::test]
async fn a_device_of_an_earlier_version_gets_its_event_before_its_next_append() {
    let app = TestApp::start().await;
    let (mut lost, mut phone) = (app.phone("lost").await, app.phone_as("phone", "member", &["s"]).await);
    lost.saves("notes", "a", json!({})).await;
    let owner = app.database.connect().await;
    // As migration 0007 finds it: registered, and with ops in the log.
    let earlier = format!(
        "UPDATE tidelog.devices SET event_fields = NULL, event_digest = NULL, replaces_through = NULL, replaces = '{}'
        WHERE device = '{}'",
        lost.device, phone.device
    );
    owner.batch_execute(&earlier).await.unwrap();
    phone.saves("notes", "b", json!({})).await;
    phone.saves("notes", "c", json!({})).await;
    let expected = json!({"role": "member", "scopes": ["s"], "replaces": lost.device, "replaces_through": 1});
    assert_eq!(events_of(&phone, &phone).await, [expected]);
    let page: PullResponse = phone.pull_page("").await;
    assert_eq!(tables(&page.events), ["_catalog", "_devices", "notes", "_devices", "notes", "notes"]);
}

#[tokio::test]
async fn a_revocation_is_an_event() {
    let catalog = "roles = [\"boss\", \"member\"]\nmanage_devices = [\"boss\"]\n[tables.notes]";
    let app = TestApp::build().catalog(catalog).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let mut phone = app.phone_as("phone", "member", &[]).await;
    phone.saves("notes", "a", json!({})).await;
    boss.pull().await;
    let query = format!("wait=20000&after={}", boss.cursor.unwrap());
    let (page, _) = tokio::join!(boss.pull_page(&query), async {
        app.has_open_stream().await;
        assert_eq!(boss.http.delete(&format!("/api/v1/devices/{}", phone.device)).await.status, 204);
    });
    assert_snapshot_of!(app, "a_revocation_as_an_event", page.events);
    assert_eq!(boss.http.delete(&format!("/api/v1/devices/{}", phone.device)).await.status, 204);
    assert_eq!(events_of(&boss, &phone).await.len(), 2, "revoking again says nothing new");
    boss.saves("notes", "b", json!({})).await;
    app.folded().await;
    let unknown = "/api/v1/devices/00000000-0000-4000-8000-000000000001";
    boss.http.delete(unknown).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_device_is_revoked_before_anything_is_in_the_log() {
    let app = TestApp::start().await;
    let (phone, mut other) = (app.phone("phone").await, app.phone("other").await);
    assert_eq!(phone.http.delete(&format!("/api/v1/devices/{}", phone.device)).await.status, 204);
    assert!(other.device(phone.device).await.revoked);
    other.saves("notes", "a", json!({})).await;
    assert_eq!(tables(&other.pull_page("").await.events), ["_catalog", "_devices", "notes"]);
}
