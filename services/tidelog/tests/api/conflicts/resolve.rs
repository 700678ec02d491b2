//! `POST /conflicts/{conflict}/resolve`: who wins, which values it takes, and what it refuses.

use serde_json::json;
use tidelog_core::op::Intent;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{ConflictView, Encoding, ResolveResponse};
use tidelog_testkit::{Reader, assert_snapshot_of, fields, value};

use crate::conflicts::world::World;

#[tokio::test]
async fn two_versions_of_a_note_are_resolved_as_mine_theirs_and_merged() {
    let mut world = World::start().await;
    for (record, choice, text) in [
        ("mine", json!({"choose": "winner"}), "office"),
        ("theirs", json!({"choose": "loser"}), "tablet"),
        ("merged", json!({"value": "office and tablet"}), "office and tablet"),
    ] {
        let outcome = world.meet_by_puts("notes", record, json!({"text": "office"}), json!({"text": "tablet"})).await;
        assert_eq!(outcome.verdict, Verdict::Conflict);
        let open = world.office.conflicts("status=open").await;
        assert_eq!(open.iter().map(|row| &row.conflict).collect::<Vec<_>>(), [&outcome.conflicts[0]]);
        world.settle(&open[0].conflict, choice).await;
        assert_eq!(world.fields("notes", record).await, json!({"text": text}));
        let late = world.tablet.try_resolve(&open[0].conflict, &json!({"choose": "loser"})).await;
        late.refused(409, "conflict_closed");
    }
    assert_eq!(world.office.status().await.open_conflicts, 0);
    assert_snapshot_of!(world.app, world.app.conflicts().await);
}

#[tokio::test]
async fn a_conflict_that_somebody_wrote_over_is_closed() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await;
    world.both_pull().await;
    let op = world.tablet.put("notes", "n", json!({"text": "both"}));
    world.tablet.push_and_wait(&[op]).await;
    assert_eq!(world.conflict(&outcome.conflicts[0]).await.status, "overtaken");
    let late = world.office.try_resolve(&outcome.conflicts[0], &json!({"choose": "loser"})).await;
    late.refused(409, "conflict_closed");
}

#[tokio::test]
async fn of_many_who_resolve_at_once_one_wins_and_no_value_vanishes() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await;
    let mut devices = Vec::new();
    for number in 0..8 {
        devices.push((number, world.app.phone_as(&format!("caller {number}"), "manager", &["*"]).await));
    }
    let callers = devices.into_iter().map(|(number, device)| {
        let (id, choice) = (outcome.conflicts[0].clone(), json!({"value": format!("choice {number}")}));
        tokio::spawn(async move { (number, device.try_resolve(&id, &choice).await) })
    });
    let callers: Vec<_> = callers.collect();
    let (mut chosen, mut lost) = (Vec::new(), Vec::new());
    for caller in callers {
        let (number, response) = caller.await.unwrap();
        if response.status.as_u16() == 409 {
            response.refused(409, "conflict_closed");
            continue;
        }
        let response: ResolveResponse = response.good();
        match response.verdict {
            Some(Verdict::Applied) => chosen.push(number),
            Some(Verdict::Superseded) => lost.push((number, response.conflicts)),
            other => panic!("{other:?}"),
        }
    }
    let [winner] = chosen.as_slice() else { panic!("one choice is applied, not {chosen:?}") };
    assert_eq!(world.fields("notes", "n").await, json!({"text": format!("choice {winner}")}));
    for (number, conflicts) in lost {
        let row = world.conflict(&conflicts[0]).await;
        assert_eq!(row.rule, "resolved");
        assert_eq!(row.loser.value, Some(value(json!(format!("choice {number}")))), "RULE-1");
    }
}

#[tokio::test]
async fn a_value_that_the_catalog_forbids_is_refused_and_leaves_nothing() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("forms", "f", json!({"hours": 1}), json!({"hours": 2})).await;
    let id = &outcome.conflicts[0];
    let problem = world.office.try_resolve(id, &json!({"value": "three"})).await.refused(422, "op_rejected");
    assert!(problem.detail.starts_with("field_type"), "{problem:?}");
    for choice in
        [json!({}), json!({"choose": "both"}), json!({"choose": "loser", "value": 1}), json!({"chose": "loser"})]
    {
        assert_eq!(world.office.try_resolve(id, &choice).await.status.as_u16(), 422, "{choice}");
    }
    assert_eq!(world.conflict(id).await.status, "automatic");
    world.settle(id, json!({"value": null})).await;
    assert_eq!(world.fields("forms", "f").await, json!({"hours": null}));
}

#[tokio::test]
async fn values_of_every_kind_come_back_bit_for_bit_in_both_encodings() {
    let mut world = World::start().await;
    let strokes = json!({"$binary": "AAEC/f7/"});
    let precise =
        json!({"ink": strokes, "big": i64::MAX, "small": i64::MIN, "float": 5.0, "deep": [{"a": [null, true]}]});
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let record = format!("{encoding:?}");
        let won = json!({"ink": 0, "big": 0, "small": 0, "float": 0, "deep": 0});
        let outcome = world.meet_by_puts("forms", &record, precise.clone(), won).await;
        let office = world.office.clone().speaking(encoding);
        for id in &outcome.conflicts {
            let row: ConflictView = office.conflict(id).await;
            assert_eq!(row.loser.value.as_ref(), fields(precise.clone()).0.get(&row.field), "{id} in {encoding:?}");
            office.resolve(id, &json!({"choose": "loser"})).await;
        }
        assert_eq!(world.record("forms", &record).await.fields, fields(precise.clone()));
        assert!(!office.conflicts("table=forms").await.is_empty(), "the list is readable in {encoding:?} too");
    }
    // A value of the caller's own in MessagePack: bytes as they are.
    let outcome = world.meet_by_puts("forms", "own", json!({"ink": 1}), json!({"ink": 2})).await;
    let http = world.office.http.clone().speaking(Encoding::MessagePack);
    let body = Fields::from_iter([("value", Value::Binary(vec![0, 255, 128]))]);
    let path = format!("/api/v1/conflicts/{}/resolve?wait=10000", outcome.conflicts[0]);
    http.post(&path, &body).await.good::<ResolveResponse>();
    let record = world.record("forms", "own").await;
    assert_eq!(record.fields.0["ink"], Value::Binary(vec![0, 255, 128]));
}

#[tokio::test]
async fn a_resolve_that_names_another_records_conflict_is_a_plain_put() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await;
    world.both_pull().await;
    let conflict = outcome.conflicts[0].clone();
    let put = Some(fields(json!({"text": "elsewhere"})));
    let op = world.office.op("notes", "other", Intent::Resolve { conflict: conflict.clone(), put });
    assert_eq!(world.office.push_and_wait(&[op]).await.outcomes, Some(vec![]));
    assert_eq!(world.conflict(&conflict).await.status, "open");
    assert_eq!(world.fields("notes", "other").await, json!({"text": "elsewhere"}));
}
