//! A projector that begins in the middle of a log knows who replaced whom before.

use tidelog_projector::Progress;

use crate::rebuild::two_writers;
use crate::world::World;

#[tokio::test]
async fn a_restored_device_does_not_conflict_with_itself_wherever_the_projector_begins() {
    let world = World::start().await;
    let [mut lost, mut tablet] = two_writers(&world, 1).await;
    let workspace = lost.workspace;
    let (projector, _, _) = world.projector();
    let fold = async |projector: &tidelog_projector::Projector| {
        while projector.step(workspace).await.unwrap() != Progress::Idle {}
    };
    lost.put(&world, "r", "a", 0).await;
    fold(&projector).await;
    // The first event is the catalog's, the second the lost device's.
    tablet.replaces(&world, &lost, 2).await;
    tablet.put(&world, "r", "b", 1).await;
    fold(&projector).await;
    // In a later slice, by a projector that has met the event and by one that has not.
    tablet.put(&world, "r", "c", 1).await;
    fold(&projector).await;
    lost.put(&world, "other", "a", 1).await;
    lost.put(&world, "other", "b", 1).await;
    let (restarted, _, _) = world.projector();
    fold(&restarted).await;
    tablet.put(&world, "r", "d", 1).await;
    tablet.put(&world, "other", "c", 1).await;
    fold(&restarted).await;
    world.assert_records_equal_the_fold(workspace).await;
    let verdicts = world.store.verdicts(workspace, tidelog_core::ids::Position(1), tablet.head).await.unwrap();
    let conflicts: Vec<_> = verdicts.iter().flat_map(|it| &it.conflicts).map(ToString::to_string).collect();
    assert_eq!(conflicts, [format!("{}.text", tablet.head)], "only with what the old name pushed after");
}
