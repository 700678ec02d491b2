//! No workspace waits for another's backlog, nor for the hints of another to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::Wakeups;

use crate::world::{Running, World, wait_until};
use crate::writer::Writer;

/// More events than one step takes.
const STEP_EVENTS: usize = 2_000;

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

async fn backlog(world: &World, writer: &mut Writer, steps: usize) {
    let mut random = random();
    for _ in 0..steps * 2 {
        writer.append(world, &mut random, STEP_EVENTS / 2).await;
    }
    // The `_catalog` event and this one make sure that there is more than `steps`.
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
    assert!(order.iter().filter(|workspace| **workspace == big.workspace).count() >= 5, "a backlog: {order:?}");
    let place = order.iter().rposition(|workspace| *workspace == small.workspace).unwrap();
    // The step that was under way when the hint came, and the turn that the big one may have had before the small one.
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
    assert_eq!(world.steps().await.len(), 1, "the step at hand is finished, and no other begun");
}

/// Makes one workspace grow until told to stop, and hints it each time, so that the projector never waits long for a hint.
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

/// One hint comes for a workspace while it cannot be folded; another is hinted constantly. The first is folded when it
/// can be, with nobody saying so.
async fn is_folded_after(obstacle: &str, removal: &str) {
    let world = Arc::new(World::start().await);
    let (noisy, mut quiet) = (world.writer(1).await, world.writer(2).await);
    let (projector, wakeups, _) = world.projector();
    let running = Running::start(projector);
    world.folded(noisy.workspace).await;
    world.folded(quiet.workspace).await;
    let before = steps_of(&world, quiet.workspace).await;
    let in_the_way = world.database.connect().await;
    in_the_way.batch_execute(obstacle).await.unwrap();
    quiet.append(&world, &mut random(), 1).await;
    wakeups.on_appended(quiet.workspace, quiet.head, "once");
    let noisy_workspace = noisy.workspace;
    let stop = Arc::new(AtomicBool::new(false));
    let hinting = tokio::spawn({
        let (world, wakeups, stop) = (Arc::clone(&world), Arc::clone(&wakeups), Arc::clone(&stop));
        async move { hint_constantly(&world, noisy, &wakeups, &stop).await }
    });
    // By then the other has had its turn too.
    let reached = steps_of(&world, noisy_workspace).await + 5;
    wait_until("the noisy workspace's steps", async || steps_of(&world, noisy_workspace).await >= reached).await;
    assert_eq!(steps_of(&world, quiet.workspace).await, before, "it cannot be folded");
    in_the_way.batch_execute(removal).await.unwrap();
    world.folded(quiet.workspace).await;
    assert!(!hinting.is_finished(), "the other was hinted all the time");
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
async fn a_step_whose_records_weigh_too_much_is_cut_to_whole_batches_and_comes_to_an_end() {
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
    // One small batch right before a large one: a cut that keeps both would cut for ever.
    for size in [1, 20, 1, 200, 3] {
        writer.append(&world, &mut random, size).await;
    }
    let mut steps = 0;
    while !world.is_folded(writer.workspace).await {
        projector.step(writer.workspace).await.unwrap();
        steps += 1;
        assert!(steps < 20, "it does not come to an end");
    }
    assert_eq!(steps, 5, "a batch a step");
    world.assert_records_equal_the_fold(writer.workspace).await;
}
