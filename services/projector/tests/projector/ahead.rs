//! FOLD-1 where a slice is folded while the one before it is being written. A slice that was folded ahead is discarded if
//! the one before it was not written, or was written by another projector.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::Position;
use tidelog_postgres::{
    Checkpoint, DigestRows, HistoryRows, OutcomeRows, RecordRows, StepOutcome, StepWrites, Store, StoreConfig,
    StoreError, Wakeups,
};
use tidelog_projector::{Progress, Projector, StepError};

use crate::exactly_once::{assert_folded_once, events_folded, random};
use crate::world::{Running, World, wait_until};
use crate::writer::Writer;

/// Batches of a backlog. Each is about one step.
const BATCHES: usize = 60;
/// Events that are folded before the backlog: the catalog and the first batch.
const FOLDED_BEFORE: i64 = 201;

/// A workspace with folded records, and a backlog of batches on the same records.
async fn backlog(world: &World) -> Writer {
    let mut random = random();
    let mut writer = world.writer(1).await;
    writer.append(world, &mut random, 200).await;
    let (projector, ..) = world.projector();
    projector.step(writer.workspace).await.unwrap();
    for _ in 0..BATCHES {
        writer.append(world, &mut random, 4).await;
    }
    writer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_many_steps_on_the_same_records_is_folded_as_in_one_step() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    let (projector, registry) = world.projector_of_small_steps();
    let running = Running::start(projector);
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&registry), total - FOLDED_BEFORE);
    assert!(world.steps().await.len() > BATCHES / 2, "one step for a batch or two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_projectors_that_fold_ahead_in_one_workspace_fold_every_event_once() {
    let world = World::start().await;
    let mut writer = backlog(&world).await;
    let ((one, one_registry), (two, two_registry)) =
        (world.projector_of_small_steps(), world.projector_of_small_steps());
    let steps = std::sync::Arc::clone(&two);
    let running = Running::start(one);
    let mut random = random();
    // Each step of the other one overtakes what the first has folded ahead by then.
    wait_until("both projectors to have folded enough", async || {
        writer.append(&world, &mut random, 4).await;
        steps.step(writer.workspace).await.unwrap();
        events_folded(&one_registry) > 100 && events_folded(&two_registry) > 20
    })
    .await;
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&one_registry) + events_folded(&two_registry), total - FOLDED_BEFORE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slice_folded_ahead_is_discarded_with_the_step_that_was_not_written() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    let (projector, registry) = world.projector_of_small_steps();
    world.shut_gate().await;
    let running = Running::start(projector);
    for _ in 0..2 {
        world.step_at_gate().await;
        let before = world.store.checkpoint(writer.workspace).await.unwrap();
        world.kill_connections().await;
        wait_until("the end of the killed step", async || !world.is_step_at_gate().await).await;
        assert_eq!(world.store.checkpoint(writer.workspace).await.unwrap(), before);
    }
    world.open_gate().await;
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&registry), total - FOLDED_BEFORE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_commit_gets_no_response_is_neither_lost_nor_repeated() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    for is_committed in [true, false] {
        // The runtime that drives the connections of this projector will be shut down.
        let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = world.database.url().to_owned();
        let store = doomed.spawn(async { Store::new(&StoreConfig { url, pool_size: 4 }).unwrap() }).await.unwrap();
        let projector =
            Projector::new(store, std::sync::Arc::new(Wakeups::default()), &prometheus::Registry::new()).unwrap();
        let projector = projector.with_records_bytes_max(100);
        world.hold_commits().await;
        let workspace = writer.workspace;
        let before = world.store.checkpoint(workspace).await.unwrap().unwrap();
        let step = tokio::spawn(async move { projector.step(workspace).await });
        world.step_at_gate().await;
        if is_committed {
            doomed.shutdown_background();
        } else {
            world.kill_connections().await;
            doomed.shutdown_background();
        }
        let failed = step.await.unwrap().unwrap_err();
        assert!(matches!(failed, StepError::Store(StoreError::CommitUnknown(_))), "{failed}");
        world.open_gate().await;
        wait_until("the end of the commit", async || !world.is_step_under_way().await).await;
        let after = world.store.checkpoint(workspace).await.unwrap().unwrap();
        assert_eq!(after.position > before.position, is_committed);
        let (next, _) = world.projector_of_small_steps();
        assert!(matches!(next.step(workspace).await.unwrap(), Progress::Folded { .. }));
    }
    let (next, _) = world.projector_of_small_steps();
    wait_until("the rest of the backlog", async || next.step(writer.workspace).await.unwrap() == Progress::Idle).await;
    assert_folded_once(&world, writer.workspace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_over_another_checkpoint_or_from_another_log() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    let (projector, _) = world.projector_of_small_steps();
    projector.step(writer.workspace).await.unwrap();
    let store = &world.store;
    let checkpoint = store.checkpoint(writer.workspace).await.unwrap().unwrap();
    let next = store.event_at(writer.workspace, Position(checkpoint.position.0 + 1)).await.unwrap().unwrap().cursor();
    let behind = Position(checkpoint.position.0 - 1);
    let other_check = Cursor { check: CursorCheck(next.check.0 ^ 1), ..next };
    let not_there = Cursor { position: Position(writer.head.0 + 1), ..next };
    for (what, expected, end) in [
        ("a checkpoint that has moved", Checkpoint { position: behind, ..checkpoint }, next),
        ("a new generation", Checkpoint { generation: checkpoint.generation + 1, ..checkpoint }, next),
        ("another event at the end", checkpoint, other_check),
        ("no event at the end", checkpoint, not_there),
    ] {
        let writes = StepWrites {
            new_records: RecordRows::new(),
            known_records: RecordRows::new(),
            outcomes: OutcomeRows::new(),
            history: HistoryRows::new(),
            digests: DigestRows::default(),
            end,
            catalog_position: checkpoint.catalog_position,
        };
        let outcome = store.write_step(writer.workspace, expected, &writes).await.unwrap();
        assert_eq!(outcome, StepOutcome::Overtaken, "{what}");
        assert_eq!(store.checkpoint(writer.workspace).await.unwrap(), Some(checkpoint), "{what}");
    }
}
