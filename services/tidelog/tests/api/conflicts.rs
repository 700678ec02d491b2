//! The conflicts over HTTP: what lost is there with who and why, comes back by one call, and shows to nobody who may not see it.

use serde_json::{Value as Json, json};
use tidelog_core::ids::{DeviceId, Scope};
use tidelog_core::op::{Intent, Op};
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{ConflictView, ConflictsResponse, Encoding, Outcome, RecordView, ResolveResponse};
use tidelog_testkit::{Http, Phone, TestApp};

const CATALOG: &str = r#"
roles = ["manager", "staff"]
[tables.forms.fields]
hours = { type = "integer" }
score = { merge = "sum" }
[tables.notes]
rule = "manual"
[tables.visits]
on_delete = "update_wins"
[tables.drafts]
retention = "0h"
[tables.secrets]
read = ["manager"]
write = ["manager"]
[tables.fixed]
write = ["manager"]
"#;

pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) office: Phone,
    pub(crate) tablet: Phone,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::on(TestApp::build().catalog(CATALOG).start().await).await
    }

    /// With nobody beside the server who folds, but whoever is started for it.
    pub(crate) async fn start_without_projector() -> Self {
        Self::on(TestApp::build().catalog(CATALOG).without_projector().start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let (office, tablet) =
            (app.phone_as("office", "manager", &["*"]).await, app.phone_as("tablet", "manager", &["*"]).await);
        Self { app, office, tablet }
    }

    /// What both know before they go offline.
    async fn both_pull(&mut self) {
        self.office.pull().await;
        self.tablet.pull().await;
    }

    /// The office writes, then the tablet, which does not know: what became of the tablet's op.
    pub(crate) async fn meet(
        &mut self,
        office: impl FnOnce(&mut Phone) -> Op,
        tablet: impl FnOnce(&mut Phone) -> Op,
    ) -> Outcome {
        self.both_pull().await;
        let op = office(&mut self.office);
        self.office.push_and_wait(&[op]).await;
        let op = tablet(&mut self.tablet);
        self.tablet.push_and_wait(&[op]).await.outcomes.unwrap().remove(0)
    }

    pub(crate) async fn conflict(&self, id: &impl std::fmt::Display) -> ConflictView {
        self.office.http.get(&format!("/api/v1/conflicts/{id}")).await.good()
    }

    /// Settles a conflict and sees it settled.
    pub(crate) async fn settle(&self, id: &impl std::fmt::Display, body: Json) -> ResolveResponse {
        let answer: ResolveResponse = resolve(&self.office.http, id, &body).await.good();
        let row = self.conflict(id).await;
        assert_eq!((row.status.as_str(), row.resolved_by), ("resolved", Some(answer.position)));
        answer
    }

    pub(crate) async fn record(&self, table: &str, record: &str) -> RecordView {
        self.office.http.get(&format!("/api/v1/records/{table}/{record}")).await.good()
    }
}

pub(crate) async fn resolve(http: &Http, id: &impl std::fmt::Display, body: &Json) -> tidelog_testkit::Response {
    http.post(&format!("/api/v1/conflicts/{id}/resolve?wait=10000"), body).await
}

async fn list(http: &Http, query: &str) -> ConflictsResponse {
    http.get(&format!("/api/v1/conflicts{query}")).await.good()
}

pub(crate) fn fields(json: Json) -> Fields {
    serde_json::from_value(json).unwrap()
}

fn ids(answer: &ConflictsResponse) -> Vec<String> {
    answer.conflicts.iter().map(|row| row.conflict.to_string()).collect()
}

#[tokio::test]
async fn what_a_later_write_replaced_comes_back_by_one_call() {
    let mut world = World::start().await;
    let outcome = world
        .meet(
            |office| office.put("forms", "f", json!({"title": "A"})),
            |tablet| tablet.put("forms", "f", json!({"title": "B"})),
        )
        .await;
    assert_eq!(outcome.verdict, Verdict::Applied, "the tablet won, and is told what it won against");
    let [id] = outcome.conflicts.as_slice() else { panic!("{outcome:?}") };
    let status: Json = world.tablet.http.get("/api/v1/sync/ops/1").await.good();
    assert_eq!((&status["verdict"], &status["conflicts"][0]), (&json!("applied"), &json!(id)));

    let row = world.conflict(id).await;
    assert_eq!((row.rule.as_str(), row.status.as_str(), row.field.as_str()), ("last_write_wins", "automatic", "title"));
    let winner = row.winner.unwrap();
    assert_eq!(
        (winner.device, winner.value, winner.role.as_str()),
        (world.tablet.device, Some("B".into_value()), "manager")
    );
    assert_eq!((row.loser.device, row.loser.value), (world.office.device, Some("A".into_value())));

    let seq = world.office.next_seq;
    let answer = world.settle(id, json!({"choose": "loser"})).await;
    assert_eq!((answer.verdict, answer.conflicts.len()), (Some(Verdict::Applied), 0));
    assert_eq!(world.record("forms", "f").await.fields, fields(json!({"title": "A"})));
    let events = world.office.pull().await;
    let event = events.iter().find(|event| event.position == answer.position).unwrap();
    assert_eq!((event.device, event.seq, event.role.as_str()), (DeviceId::SYSTEM, answer.seq, "manager"));
    assert_eq!((event.actor.to_string(), event.conflict.as_ref()), (world.office.device.to_string(), Some(id)));
    let op = world.office.put("forms", "g", json!({}));
    assert_eq!(op.seq.0, seq, "it took no seq of the caller's");
    world.office.push_and_wait(&[op]).await;
}

pub(crate) trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

#[tokio::test]
async fn what_lost_to_a_delete_comes_back_by_one_call() {
    let mut world = World::start().await;
    let outcome = world
        .meet(
            |office| office.delete("forms", "f"),
            |tablet| tablet.put("forms", "f", json!({"title": "B", "hours": 3})),
        )
        .await;
    assert_eq!((outcome.verdict, outcome.conflicts.len()), (Verdict::Superseded, 2));
    let row = world.conflict(&outcome.conflicts[1]).await;
    assert_eq!((row.rule.as_str(), row.winner.as_ref().unwrap().deleted), ("delete_wins", true));
    assert_eq!(row.winner.unwrap().value, None);
    for id in &outcome.conflicts {
        world.settle(id, json!({"choose": "loser"})).await;
    }
    let record = world.record("forms", "f").await;
    assert_eq!((record.deleted, record.fields), (false, fields(json!({"title": "B", "hours": 3}))));

    let outcome = world
        .meet(|office| office.put("forms", "g", json!({"title": "A"})), |tablet| tablet.delete("forms", "g"))
        .await;
    assert_eq!(outcome.verdict, Verdict::Applied);
    world.settle(&outcome.conflicts[0], json!({"choose": "loser"})).await;
    assert_eq!(world.record("forms", "g").await.fields, fields(json!({"title": "A"})));

    let outcome = world
        .meet(|office| office.delete("forms", "h"), |tablet| tablet.put("forms", "h", json!({"title": "B"})))
        .await;
    world.settle(&outcome.conflicts[0], json!({"choose": "winner"})).await;
    assert!(world.record("forms", "h").await.deleted, "what stands is that it is gone");
}

#[tokio::test]
async fn a_delete_that_lost_deletes_by_one_call() {
    let mut world = World::start().await;
    for (record, choose, deleted) in [("v", "loser", true), ("w", "winner", false)] {
        let outcome = world
            .meet(|office| office.put("visits", record, json!({"n": 1})), |tablet| tablet.delete("visits", record))
            .await;
        let id = &outcome.conflicts[0];
        assert_eq!((outcome.verdict, id.field()), (Verdict::Superseded, Some("")));
        assert!(world.conflict(id).await.loser.deleted);
        resolve(&world.office.http, id, &json!({"value": 3})).await.refused(422, "op_invalid");
        world.settle(id, json!({"choose": choose})).await;
        assert_eq!(world.record("visits", record).await.deleted, deleted);
    }
    assert_eq!(world.record("visits", "w").await.fields, fields(json!({"n": 1})));
}

#[tokio::test]
async fn what_came_after_the_retention_comes_back_by_one_call() {
    let mut world = World::start().await;
    let op = world.office.put("drafts", "d", json!({"text": "first"}));
    world.office.push_and_wait(&[op]).await;
    let outcome = world
        .meet(|office| office.delete("drafts", "d"), |tablet| tablet.put("drafts", "d", json!({"text": "late"})))
        .await;
    assert_eq!(world.conflict(&outcome.conflicts[0]).await.rule, "retention");
    world.settle(&outcome.conflicts[0], json!({"choose": "loser"})).await;
    assert_eq!(world.record("drafts", "d").await.fields, fields(json!({"text": "late"})));
}

#[tokio::test]
async fn two_versions_of_a_note_are_resolved_as_mine_theirs_and_merged() {
    let mut world = World::start().await;
    for (record, body, outcome_text) in [
        ("mine", json!({"choose": "winner"}), "office"),
        ("theirs", json!({"choose": "loser"}), "tablet"),
        ("merged", json!({"value": "office and tablet"}), "office and tablet"),
    ] {
        let outcome = world
            .meet(
                |office| office.put("notes", record, json!({"text": "office"})),
                |tablet| tablet.put("notes", record, json!({"text": "tablet"})),
            )
            .await;
        assert_eq!(outcome.verdict, Verdict::Conflict);
        let id = &outcome.conflicts[0];
        assert_eq!(world.conflict(id).await.status, "open");
        assert_eq!(ids(&list(&world.office.http, "?status=open").await), [id.to_string()]);
        world.settle(id, body).await;
        assert_eq!(world.record("notes", record).await.fields, fields(json!({"text": outcome_text})));
        resolve(&world.tablet.http, id, &json!({"choose": "loser"})).await.refused(409, "conflict_closed");
    }
    let status: Json = world.office.http.get("/api/v1/sync/status").await.good();
    assert_eq!(status["open_conflicts"], 0);
}

#[tokio::test]
async fn a_conflict_that_somebody_wrote_over_is_closed() {
    let mut world = World::start().await;
    let note = |text: &str| json!({"text": text});
    let outcome =
        world.meet(|office| office.put("notes", "n", note("a")), |tablet| tablet.put("notes", "n", note("b"))).await;
    world.both_pull().await;
    let op = world.tablet.put("notes", "n", note("both"));
    world.tablet.push_and_wait(&[op]).await;
    assert_eq!(world.conflict(&outcome.conflicts[0]).await.status, "overtaken");
    resolve(&world.office.http, &outcome.conflicts[0], &json!({"choose": "loser"}))
        .await
        .refused(409, "conflict_closed");
}

#[tokio::test]
async fn of_many_who_resolve_at_once_one_wins_and_no_value_vanishes() {
    let mut world = World::start().await;
    let outcome = world
        .meet(
            |office| office.put("notes", "n", json!({"text": "a"})),
            |tablet| tablet.put("notes", "n", json!({"text": "b"})),
        )
        .await;
    let id = outcome.conflicts[0].to_string();
    let callers = (0..8).map(|number| {
        let (http, id) = (world.office.http.clone(), id.clone());
        tokio::spawn(async move { (number, resolve(&http, &id, &json!({"value": format!("choice {number}")})).await) })
    });
    let (mut chosen, mut lost) = (Vec::new(), Vec::new());
    for caller in callers.collect::<Vec<_>>() {
        let (number, answer) = caller.await.unwrap();
        if answer.status.as_u16() == 409 {
            answer.refused(409, "conflict_closed");
            continue;
        }
        let answer: ResolveResponse = answer.good();
        match answer.verdict {
            Some(Verdict::Applied) => chosen.push(number),
            Some(Verdict::Superseded) => lost.push((number, answer.conflicts)),
            other => panic!("{other:?}"),
        }
    }
    let [winner] = chosen.as_slice() else { panic!("one of them is in force: {chosen:?}") };
    assert_eq!(world.record("notes", "n").await.fields, fields(json!({"text": format!("choice {winner}")})));
    for (number, conflicts) in lost {
        let row = world.conflict(&conflicts[0]).await;
        assert_eq!(row.rule, "resolved");
        assert_eq!(row.loser.value, Some(format!("choice {number}").as_str().into_value()), "RULE-1");
    }
}

#[tokio::test]
async fn keeping_a_sum_does_not_add_it_again_and_restoring_a_part_of_it_adds_that() {
    let mut world = World::start().await;
    let outcome =
        world.meet(|office| office.delete("forms", "f"), |tablet| tablet.put("forms", "f", json!({"score": 5}))).await;
    let kept = outcome.conflicts[0].clone();
    let outcome =
        world.meet(|office| office.delete("forms", "f"), |tablet| tablet.put("forms", "f", json!({"score": 2}))).await;
    world.both_pull().await;
    let op = world.office.put("forms", "f", json!({"score": 7}));
    world.office.push_and_wait(&[op]).await;
    world.settle(&kept, json!({"choose": "winner"})).await;
    assert_eq!(world.record("forms", "f").await.fields, fields(json!({"score": 7})));
    world.settle(&outcome.conflicts[0], json!({"choose": "loser"})).await;
    assert_eq!(world.record("forms", "f").await.fields, fields(json!({"score": 9})));
}

#[tokio::test]
async fn a_value_that_the_catalog_forbids_is_refused_and_leaves_nothing() {
    let mut world = World::start().await;
    let outcome = world
        .meet(
            |office| office.put("forms", "f", json!({"hours": 1})),
            |tablet| tablet.put("forms", "f", json!({"hours": 2})),
        )
        .await;
    let id = &outcome.conflicts[0];
    let problem = resolve(&world.office.http, id, &json!({"value": "three"})).await.refused(422, "op_rejected");
    assert!(problem["detail"].as_str().unwrap().starts_with("field_type"), "{problem}");
    for body in
        [json!({}), json!({"choose": "both"}), json!({"choose": "loser", "value": 1}), json!({"chose": "loser"})]
    {
        assert_eq!(resolve(&world.office.http, id, &body).await.status.as_u16(), 422, "{body}");
    }
    assert_eq!(world.conflict(id).await.status, "automatic");
    world.settle(id, json!({"value": null})).await;
    assert_eq!(world.record("forms", "f").await.fields, fields(json!({"hours": null})));
}

#[tokio::test]
async fn values_of_every_kind_come_back_bit_for_bit_in_both_encodings() {
    let mut world = World::start().await;
    let strokes = json!({"$binary": "AAEC/f7/"});
    let precise =
        json!({"ink": strokes, "big": i64::MAX, "small": i64::MIN, "float": 5.0, "deep": [{"a": [null, true]}]});
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let record = format!("{encoding:?}");
        let (lost, won) = (precise.clone(), json!({"ink": 0, "big": 0, "small": 0, "float": 0, "deep": 0}));
        let outcome =
            world.meet(|office| office.put("forms", &record, lost), |tablet| tablet.put("forms", &record, won)).await;
        let http = world.office.http.clone().speaking(encoding);
        for id in &outcome.conflicts {
            let row: ConflictView = http.get(&format!("/api/v1/conflicts/{id}")).await.good();
            assert_eq!(row.loser.value.as_ref(), fields(precise.clone()).0.get(&row.field), "{id} in {encoding:?}");
            resolve(&http, id, &json!({"choose": "loser"})).await.good::<ResolveResponse>();
        }
        assert_eq!(world.record("forms", &record).await.fields, fields(precise.clone()));
        let listed: ConflictsResponse = http.get("/api/v1/conflicts?table=forms").await.good();
        assert!(!listed.conflicts.is_empty());
    }
    // A value of the caller's own, in MessagePack: a map with bytes in it.
    let outcome = world
        .meet(
            |office| office.put("forms", "own", json!({"ink": 1})),
            |tablet| tablet.put("forms", "own", json!({"ink": 2})),
        )
        .await;
    let http = world.office.http.clone().speaking(Encoding::MessagePack);
    let body = Fields::from_iter([("value", Value::Binary(vec![0, 255, 128]))]);
    http.post(&format!("/api/v1/conflicts/{}/resolve?wait=10000", outcome.conflicts[0]), &body)
        .await
        .good::<ResolveResponse>();
    let record = world.record("forms", "own").await;
    assert_eq!(record.fields.0["ink"], Value::Binary(vec![0, 255, 128]));
}

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

#[tokio::test]
async fn a_resolve_that_names_another_records_conflict_is_a_plain_put() {
    let mut world = World::start().await;
    let note = |text: &str| json!({"text": text});
    let outcome =
        world.meet(|office| office.put("notes", "n", note("a")), |tablet| tablet.put("notes", "n", note("b"))).await;
    world.both_pull().await;
    let conflict = outcome.conflicts[0].clone();
    let put =
        Some(fields(json!({"text": "elsewhere"})).into()).map(|put: tidelog_core::value::PackedFields| put.unpack());
    let op = world.office.op("notes", "other", Intent::Resolve { conflict: conflict.clone(), put });
    assert_eq!(world.office.push_and_wait(&[op]).await.outcomes, Some(vec![]));
    assert_eq!(world.conflict(&conflict).await.status, "open");
    assert_eq!(world.record("notes", "other").await.fields, fields(note("elsewhere")));
}
