//! FOLD-1 with several projectors and with killed ones: every event is folded once, and the records equal the fold.

use std::pin::{Pin, pin};
use std::task::Poll;

use futures_util::future::join_all;
use prometheus::Registry;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_projector::Progress;
use tidelog_testkit::seed;

use crate::world::{Running, World, wait_until};

/// A few more polls than one step takes. A step that is stopped after a random number of them is stopped anywhere, or not.
const STEP_POLLS_MAX: usize = 25;
/// Steps that are killed.
const ROUNDS: usize = 50;

/// Random numbers by the seed of this test.
pub(crate) fn random() -> StdRng {
    StdRng::seed_from_u64(seed())
}

/// The number of events that a projector has folded, by its metrics.
pub(crate) fn events_folded(registry: &Registry) -> i64 {
    let families = registry.gather();
    let family = families.iter().filter(|family| family.name() == "tidelog_events_folded_total");
    family.flat_map(|family| family.get_metric()).map(|metric| metric.get_counter().get_value() as i64).sum()
}

/// Asserts that each step of a workspace began where the one before it ended, that the last one ended at the head, and that
/// the records equal the fold. Returns the number of events.
pub(crate) async fn assert_folded_once(world: &World, workspace: WorkspaceId) -> i64 {
    let head = world.store.head(workspace, Position::START).await.unwrap().unwrap().head.0;
    let steps = world.steps().await.into_iter().filter(|(of, ..)| *of == workspace);
    let end = steps.fold(0, |checkpoint, (_, was, became)| {
        assert!(was == checkpoint && became > was, "a step from {was} to {became} at checkpoint {checkpoint}");
        became
    });
    assert_eq!(end, head);
    world.assert_records_equal_the_fold(workspace).await;
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_projectors_on_one_database_fold_every_event_once() {
    let mut random = random();
    let world = World::start().await;
    let (one, one_server, one_registry) = world.projector();
    let (two, other_server, two_registry) = world.projector();
    let running = [Running::start(one), Running::start(two)];
    let mut writers = Vec::new();
    for number in 1..=3 {
        let writer = world.writer(number).await;
        writers.push((world.another_writer(writer.workspace, 500 + number).await, StdRng::from_rng(&mut random)));
        writers.push((writer, StdRng::from_rng(&mut random)));
    }
    let both_have_folded = || events_folded(&one_registry) > 50 && events_folded(&two_registry) > 50;
    join_all(writers.iter_mut().map(async |(writer, random)| {
        let mut rounds = 0;
        wait_until("both projectors to have folded enough", async || {
            let ops = random.random_range(1..6);
            writer.append(&world, random, ops).await;
            one_server.on_appended(writer.workspace, writer.head, "");
            other_server.on_appended(writer.workspace, writer.head, "");
            rounds += 1;
            rounds >= 40 && both_have_folded()
        })
        .await;
    }))
    .await;
    let workspaces: Vec<_> = writers.iter().step_by(2).map(|(writer, _)| writer.workspace).collect();
    for workspace in &workspaces {
        world.folded(*workspace).await;
    }
    for projector in running {
        projector.stop().await;
    }
    let mut total = 0;
    for workspace in workspaces {
        total += assert_folded_once(&world, workspace).await;
    }
    let folded = (events_folded(&one_registry), events_folded(&two_registry));
    println!("{folded:?} events of {total} in {} steps", world.steps().await.len());
    assert_eq!(folded.0 + folded.1, total);
}

/// Polls a future at most so often. The caller can then drop it, which is what a kill does, or continue it.
async fn polled<F: Future>(polls: usize, mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut left = polls;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_another_projector_overtakes_at_any_point_folds_nothing_again() {
    let mut random = random();
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    let ((slow, _, slow_registry), (fast, _, fast_registry)) = (world.projector(), world.projector());
    let mut overtaken = 0;
    for polls in (0..STEP_POLLS_MAX).chain(0..STEP_POLLS_MAX) {
        writer.append(&world, &mut random, 5).await;
        let mut step = pin!(slow.step(writer.workspace));
        if polled(polls, step.as_mut()).await.is_none() {
            // Busy if the slow one has locked the checkpoint, idle if it has committed and not learnt so yet.
            let is_overtaken = matches!(fast.step(writer.workspace).await.unwrap(), Progress::Folded { .. });
            let progress = step.await.unwrap();
            assert!(!is_overtaken || matches!(progress, Progress::Busy | Progress::Idle), "{progress:?}");
            // If it is idle, it had not yet read the checkpoint.
            overtaken += usize::from(is_overtaken && progress == Progress::Busy);
        }
    }
    println!("{overtaken} steps were overtaken");
    assert!(overtaken > 0, "no step was overtaken");
    wait_until("the rest of the log", async || fast.step(writer.workspace).await.unwrap() == Progress::Idle).await;
    let total = assert_folded_once(&world, writer.workspace).await;
    assert_eq!(events_folded(&slow_registry) + events_folded(&fast_registry), total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_killed_at_any_point_leaves_records_that_equal_the_fold() {
    let mut random = random();
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    let mut kills = 0;
    for round in 0..ROUNDS {
        let ops = random.random_range(1..20);
        writer.append(&world, &mut random, ops).await;
        // More polls with each kill, so that the step ends even if it takes more polls on this machine.
        for polls_max in STEP_POLLS_MAX.. {
            let (projector, ..) = world.projector();
            let step = pin!(projector.step(writer.workspace));
            match polled(random.random_range(0..polls_max), step).await {
                None => kills += 1,
                // The database has not yet released the locks of the killed step, or the step was killed while it committed.
                Some(progress) if progress.as_ref().unwrap() == &Progress::Busy => {}
                Some(_) => break,
            }
        }
        if round % 10 == 9 {
            world.assert_records_equal_the_fold(writer.workspace).await;
        }
    }
    println!("{kills} kills in {ROUNDS} steps");
    assert!(kills > ROUNDS, "{kills} kills are too few to prove anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_killed_right_before_its_commit_leaves_nothing_of_its_step() {
    let mut random = random();
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    for _ in 0..5 {
        writer.append(&world, &mut random, 10).await;
        let before = world.store.checkpoint(writer.workspace).await.unwrap();
        world.shut_gate().await;
        let (projector, ..) = world.projector();
        let workspace = writer.workspace;
        let task = tokio::spawn(async move { projector.step(workspace).await });
        world.step_at_gate().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(world.store.checkpoint(workspace).await.unwrap(), before);
        world.open_gate().await;
        let (projector, ..) = world.projector();
        wait_until("the step of the next projector", async || {
            projector.step(workspace).await.unwrap() != Progress::Busy
        })
        .await;
        world.assert_records_equal_the_fold(workspace).await;
    }
}
