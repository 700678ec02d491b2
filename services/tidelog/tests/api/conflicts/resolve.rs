//! `POST /conflicts/{conflict}/resolve`: who wins, which values it takes, and what it refuses.

use serde_json::{Value as Json, json};
use tidelog_core::op::Intent;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{ConflictView, ConflictsResponse, Encoding, ResolveResponse};

use crate::conflicts::world::{IntoValue, World, fields, ids, list, resolve};

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
