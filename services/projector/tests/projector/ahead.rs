//! FOLD-1 where a slice is folded while the one before it is being written: what is folded ahead counts for nothing if
//! what it stands on was not written, or was written by somebody else.

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

/// Batches of a backlog; each is about a step.
const BATCHES: usize = 60;
/// Events that were folded before: the first batch, and the catalog.
const FIRST: i64 = 201;

/// A workspace whose records are there, folded, and behind them batches that are not.
async fn backlog(world: &World) -> Writer {
    let mut random = random("ops");
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
async fn a_backlog_of_many_steps_on_the_same_records_is_folded_as_in_one_go() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    let (projector, registry) = world.projector_of_small_steps();
    let running = Running::start(projector);
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&registry), total - FIRST);
    assert!(world.steps().await.len() > BATCHES / 2, "a step a batch or two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_projectors_that_fold_ahead_in_one_workspace_fold_every_event_once() {
    let world = World::start().await;
    let mut writer = backlog(&world).await;
    let ((one, one_registry), (two, two_registry)) =
        (world.projector_of_small_steps(), world.projector_of_small_steps());
    let steps = std::sync::Arc::clone(&two);
    let running = Running::start(one);
    let mut random = random("ops");
    // Steps of the other in between, each of which overtakes what the first has folded ahead by then.
    wait_until("both to have had their share", async || {
        writer.append(&world, &mut random, 4).await;
        steps.step(writer.workspace).await.unwrap();
        events_folded(&one_registry) > 100 && events_folded(&two_registry) > 20
    })
    .await;
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&one_registry) + events_folded(&two_registry), total - FIRST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_folded_ahead_is_thrown_away_with_the_step_that_was_not_written() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    let (projector, registry) = world.projector_of_small_steps();
    world.shut_gate().await;
    let running = Running::start(projector);
    for _ in 0..2 {
        world.step_at_gate().await;
        let before = world.store.checkpoint(writer.workspace).await.unwrap();
        world.kill_connections().await;
        wait_until("the killed step to be gone", async || !world.is_step_at_gate().await).await;
        assert_eq!(world.store.checkpoint(writer.workspace).await.unwrap(), before);
    }
    world.open_gate().await;
    world.folded(writer.workspace).await;
    running.stop().await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&registry), total - FIRST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_commit_is_never_answered_is_neither_lost_nor_done_again() {
    let world = World::start().await;
    let writer = backlog(&world).await;
    for is_committed in [true, false] {
        // What drives the connections of this projector is about to die.
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
        wait_until("the commit to end", async || !world.is_step_under_way().await).await;
        let after = world.store.checkpoint(workspace).await.unwrap().unwrap();
        assert_eq!(after.position > before.position, is_committed);
        let (next, _) = world.projector_of_small_steps();
        assert!(matches!(next.step(workspace).await.unwrap(), Progress::Folded { .. }));
    }
    let (next, _) = world.projector_of_small_steps();
    wait_until("the rest", async || next.step(writer.workspace).await.unwrap() == Progress::Idle).await;
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
        ("records made anew", Checkpoint { generation: checkpoint.generation + 1, ..checkpoint }, next),
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
