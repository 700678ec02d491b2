//! What lost to a later write, a delete or the retention comes back by one call.

use serde_json::json;
use tidelog_core::ids::DeviceId;
use tidelog_core::verdict::Verdict;
use tidelog_testkit::{Reader, assert_snapshot_of};

use crate::conflicts::world::World;

#[tokio::test]
async fn what_a_later_write_replaced_comes_back_by_one_call() {
    let mut world = World::start().await;
    let outcome = world.meet_by_puts("forms", "f", json!({"title": "A"}), json!({"title": "B"})).await;
    assert_eq!(outcome.verdict, Verdict::Applied, "the tablet won, and its response names what it won against");
    let [id] = outcome.conflicts.as_slice() else { panic!("{outcome:?}") };
    let status = world.tablet.op_status(1).await;
    assert_eq!((status.verdict, status.conflicts), (Verdict::Applied, outcome.conflicts.clone()));
    assert_snapshot_of!(world.app, "a_later_write_that_replaced_a_value", world.conflict(id).await);

    let seq = world.office.next_seq;
    let response = world.settle(id, json!({"choose": "loser"})).await;
    assert_eq!((response.verdict, response.conflicts.len()), (Some(Verdict::Applied), 0));
    assert_eq!(world.fields("forms", "f").await, json!({"title": "A"}));
    let events = world.office.pull().await;
    let event = events.iter().find(|event| event.position == response.position).unwrap();
    assert_eq!((event.device, event.seq), (DeviceId::SYSTEM, response.seq), "the server made the op");
    assert_eq!(event.role.as_str(), "manager", "with the caller's role");
    assert_eq!(event.actor.to_string(), world.office.device.to_string(), "and the caller's device as its actor");
    assert_eq!(event.conflict.as_ref(), Some(id));
    let op = world.office.put("forms", "g", json!({}));
    assert_eq!(op.seq.0, seq, "it used no seq of the caller's");
    world.office.push_and_wait(&[op]).await;
}

#[tokio::test]
async fn what_lost_to_a_delete_comes_back_by_one_call() {
    let mut world = World::start().await;
    let written = json!({"title": "B", "hours": 3});
    let outcome =
        world.meet(|office| office.delete("forms", "f"), |tablet| tablet.put("forms", "f", written.clone())).await;
    assert_eq!((outcome.verdict, outcome.conflicts.len()), (Verdict::Superseded, 2));
    assert_snapshot_of!(world.app, "a_field_that_lost_to_a_delete", world.conflict(&outcome.conflicts[1]).await);
    for id in &outcome.conflicts {
        world.settle(id, json!({"choose": "loser"})).await;
    }
    let record = world.record("forms", "f").await;
    assert!(!record.deleted);
    assert_eq!(world.fields("forms", "f").await, written);

    let outcome = world
        .meet(|office| office.put("forms", "g", json!({"title": "A"})), |tablet| tablet.delete("forms", "g"))
        .await;
    assert_eq!(outcome.verdict, Verdict::Applied);
    world.settle(&outcome.conflicts[0], json!({"choose": "loser"})).await;
    assert_eq!(world.fields("forms", "g").await, json!({"title": "A"}));

    let outcome = world
        .meet(|office| office.delete("forms", "h"), |tablet| tablet.put("forms", "h", json!({"title": "B"})))
        .await;
    world.settle(&outcome.conflicts[0], json!({"choose": "winner"})).await;
    assert!(world.record("forms", "h").await.deleted, "the winner is the delete, and it stays");
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
        world.office.try_resolve(id, &json!({"value": 3})).await.refused(422, "op_invalid");
        world.settle(id, json!({"choose": choose})).await;
        assert_eq!(world.record("visits", record).await.deleted, deleted);
    }
    assert_eq!(world.fields("visits", "w").await, json!({"n": 1}));
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
    assert_eq!(world.fields("drafts", "d").await, json!({"text": "late"}));
}

#[tokio::test]
async fn keeping_a_sum_does_not_add_it_again_and_restoring_a_part_of_it_adds_that() {
    let mut world = World::start().await;
    let mut lost = Vec::new();
    for score in [5, 2] {
        let outcome = world
            .meet(|office| office.delete("forms", "f"), |tablet| tablet.put("forms", "f", json!({"score": score})))
            .await;
        lost.push(outcome.conflicts[0].clone());
    }
    world.both_pull().await;
    let op = world.office.put("forms", "f", json!({"score": 7}));
    world.office.push_and_wait(&[op]).await;
    world.settle(&lost[0], json!({"choose": "winner"})).await;
    assert_eq!(world.fields("forms", "f").await, json!({"score": 7}));
    world.settle(&lost[1], json!({"choose": "loser"})).await;
    assert_eq!(world.fields("forms", "f").await, json!({"score": 9}));
}
