//! No workspace waits for the backlog of another one, or for the hints about another one to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::Wakeups;

use crate::world::{Running, World, wait_until};
use crate::writer::Writer;

/// At least as many events as one step folds.
const STEP_EVENTS: usize = 2_000;

/// The same random numbers in every run: these tests do not depend on them.
fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Appends more events than `steps` steps fold.
async fn backlog(world: &World, writer: &mut Writer, steps: usize) {
    let mut random = random();
    for _ in 0..steps * 2 {
        writer.append(world, &mut random, STEP_EVENTS / 2).await;
    }
    // With the `_catalog` event and this one there are more than `steps` steps.
    writer.append(world, &mut random, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_behind_anothers_backlog_of_many_steps_is_folded_soon() {
    let world = World::start().await;
    let (mut big, mut small) = (world.writer(1).await, world.writer(2).await);
    backlog(&world, &mut big, 4).await;
    let (projector, wakeups, _) = world.projector();
    world.shut_gate().await;
    let running = Running::start(projector);
    world.step_at_gate().await;
    small.append(&world, &mut random(), 1).await;
    wakeups.on_appended(small.workspace, small.head, "hint");
    world.open_gate().await;
    world.folded(big.workspace).await;
    world.folded(small.workspace).await;
    running.stop().await;
    let order: Vec<_> = world.steps().await.into_iter().map(|(workspace, ..)| workspace).collect();
    assert!(
        order.iter().filter(|workspace| **workspace == big.workspace).count() >= 5,
        "the backlog takes many steps: {order:?}"
    );
    let place = order.iter().rposition(|workspace| *workspace == small.workspace).unwrap();
    // The step that was running when the hint came, and the turn that the big workspace may get before the small one.
    assert!(order[..place].iter().filter(|workspace| **workspace == big.workspace).count() <= 2, "{order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_the_end_of_a_backlog() {
    let world = World::start().await;
    let mut big = world.writer(1).await;
    backlog(&world, &mut big, 2).await;
    let (projector, ..) = world.projector();
    world.shut_gate().await;
    let running = Running::start(projector);
    world.step_at_gate().await;
    running.ask_to_stop();
    world.open_gate().await;
    running.stop().await;
    assert_eq!(world.steps().await.len(), 1, "the running step is finished, and no other one begins");
}

/// Appends to one workspace until `stop` is set, and sends a hint each time, so that the projector never waits for a hint.
async fn hint_constantly(world: &World, mut writer: Writer, wakeups: &Wakeups, stop: &AtomicBool) {
    let mut random = random();
    while !stop.load(Ordering::Relaxed) {
        writer.append(world, &mut random, 1).await;
        wakeups.on_appended(writer.workspace, writer.head, "constantly");
    }
}

async fn steps_of(world: &World, workspace: WorkspaceId) -> usize {
    world.steps().await.into_iter().filter(|(of, ..)| *of == workspace).count()
}

/// Sends one hint about a workspace while an obstacle keeps it from being folded, and constant hints about another one.
/// Asserts that the first workspace is folded once the obstacle is removed, without another hint.
async fn is_folded_after(obstacle: &str, removal: &str) {
    let world = Arc::new(World::start().await);
    let (noisy, mut quiet) = (world.writer(1).await, world.writer(2).await);
    let (projector, wakeups, _) = world.projector();
    let running = Running::start(projector);
    world.folded(noisy.workspace).await;
    world.folded(quiet.workspace).await;
    let before = steps_of(&world, quiet.workspace).await;
    let blocker = world.database.connect().await;
    blocker.batch_execute(obstacle).await.unwrap();
    quiet.append(&world, &mut random(), 1).await;
    wakeups.on_appended(quiet.workspace, quiet.head, "once");
    let noisy_workspace = noisy.workspace;
    let stop = Arc::new(AtomicBool::new(false));
    let hinting = tokio::spawn({
        let (world, wakeups, stop) = (Arc::clone(&world), Arc::clone(&wakeups), Arc::clone(&stop));
        async move { hint_constantly(&world, noisy, &wakeups, &stop).await }
    });
    // After so many steps of the noisy workspace the quiet one has had its turn too.
    let reached = steps_of(&world, noisy_workspace).await + 5;
    wait_until("the noisy workspace's steps", async || steps_of(&world, noisy_workspace).await >= reached).await;
    assert_eq!(steps_of(&world, quiet.workspace).await, before, "the quiet workspace cannot be folded");
    blocker.batch_execute(removal).await.unwrap();
    world.folded(quiet.workspace).await;
    assert!(!hinting.is_finished(), "the hints about the noisy workspace did not stop");
    stop.store(true, Ordering::Relaxed);
    hinting.await.unwrap();
    world.folded(noisy_workspace).await;
    running.stop().await;
    world.assert_records_equal_the_fold(quiet.workspace).await;
    world.assert_records_equal_the_fold(noisy_workspace).await;
}

const QUIET: &str = "'00000000-0000-0000-0000-000000000002'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_whose_checkpoint_was_locked_when_its_hint_came_is_folded_though_another_is_hinted_constantly() {
    let lock = format!("BEGIN; SELECT FROM tidelog.checkpoints WHERE workspace = {QUIET} FOR UPDATE");
    is_folded_after(&lock, "ROLLBACK").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_whose_step_failed_is_folded_later_though_another_is_hinted_constantly() {
    let broken = format!("INSERT INTO public.broken VALUES ({QUIET})");
    is_folded_after(&broken, "DELETE FROM public.broken").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_records_are_too_large_is_cut_to_whole_batches_and_makes_progress() {
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    let mut random = random();
    writer.append(&world, &mut random, 200).await;
    let registry = prometheus::Registry::new();
    let projector = tidelog_projector::Projector::new(world.store.clone(), Arc::default(), &registry).unwrap();
    let projector = projector.with_records_bytes_max(100);
    while !world.is_folded(writer.workspace).await {
        projector.step(writer.workspace).await.unwrap();
    }
    // A small batch right before a large one: a cut that kept both would be repeated for ever.
    for size in [1, 20, 1, 200, 3] {
        writer.append(&world, &mut random, size).await;
    }
    let mut steps = 0;
    while !world.is_folded(writer.workspace).await {
        projector.step(writer.workspace).await.unwrap();
        steps += 1;
        assert!(steps < 20, "the steps make no progress");
    }
    assert_eq!(steps, 5, "one batch in each step");
    world.assert_records_equal_the_fold(writer.workspace).await;
}
