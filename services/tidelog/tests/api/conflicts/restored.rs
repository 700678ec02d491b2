//! What lost to a later write, a delete or the retention comes back by one call.

use serde_json::{Value as Json, json};
use tidelog_core::ids::DeviceId;
use tidelog_core::verdict::Verdict;

use crate::conflicts::world::{IntoValue, World, fields, resolve};

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
