//! What a projector reads: whole batches of any size, with all of their events but the rejected ones.

use rand::RngExt;
use tidelog_core::event::Event;
use tidelog_core::ids::Position;
use tidelog_postgres::SliceLimits;

use crate::exactly_once::random;
use crate::world::World;
use crate::writer::Writer;

/// The events of a log that were not rejected.
async fn effective(world: &World, writer: &Writer) -> Vec<Event> {
    let mut events = world.events(writer.workspace, writer.head).await;
    events.retain(|event| event.rejected.is_none());
    events
}

/// Reads a log slice by slice. Asserts that each slice has whole batches, and only its last batch beyond the limits.
async fn read_in_slices(world: &World, writer: &Writer, boundaries: &[i64], limits: SliceLimits) -> Vec<Event> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let mut slice = world.store.slice(writer.workspace, after, limits).await.unwrap();
        let Some(end) = slice.batches.last().copied() else {
            assert_eq!((after, slice.head), (writer.head, writer.head), "{limits:?}");
            return events;
        };
        let ends: Vec<_> = slice.batches.iter().map(|batch| batch.cursor.position.0).collect();
        let expected: Vec<_> =
            boundaries.iter().copied().filter(|at| (after.0 + 1..=end.cursor.position.0).contains(at)).collect();
        assert_eq!(ends, expected, "{limits:?}");
        if let [.., before_last, _] = ends[..] {
            assert!(before_last - after.0 < limits.events as i64, "{limits:?}");
        }
        assert_eq!(end.events, slice.events.len());
        assert_eq!(end.cursor, world.store.cursor_at(writer.workspace, end.cursor.position).await.unwrap());
        assert!(slice.head >= end.cursor.position && slice.head <= writer.head);
        assert!(slice.head > end.cursor.position || end.cursor.position == writer.head, "it is known to go on");
        after = end.cursor.position;
        events.append(&mut slice.events);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_read_in_slices_of_any_size_is_the_log_in_whole_batches() {
    let mut random = random();
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    // The `_catalog` event is a batch of its own.
    let mut boundaries = vec![1];
    for _ in 0..40 {
        let count = if random.random_bool(0.2) { random.random_range(20..60) } else { random.random_range(1..5) };
        let sizes: Vec<_> = (0..count)
            .map(|_| {
                let bytes =
                    if random.random_bool(0.1) { random.random_range(0..200_000) } else { random.random_range(0..50) };
                (bytes, random.random_bool(0.2))
            })
            .collect();
        writer.append_sized(&world, &mut random, &sizes).await;
        boundaries.push(writer.head.0);
    }
    let expected = effective(&world, &writer).await;
    for events in [1, 2, 7, 30, 100, 10_000] {
        for bytes in [1, 50_000, usize::MAX] {
            let read = read_in_slices(&world, &writer, &boundaries, SliceLimits { events, bytes }).await;
            assert_eq!(read, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_rejected_events_is_passed_and_an_empty_log_is_an_empty_slice() {
    let mut random = random();
    let world = World::start().await;
    let mut writer = world.writer(1).await;
    let limits = SliceLimits { events: 10, bytes: 1_000 };
    let nothing = world.store.slice(writer.workspace, Position::START, limits).await.unwrap();
    assert!(nothing.events.is_empty() && nothing.batches.is_empty() && nothing.head == Position::START);
    writer.append_sized(&world, &mut random, &[(1, true), (2, true)]).await;
    let (projector, ..) = world.projector();
    projector.step(writer.workspace).await.unwrap();
    assert_eq!(world.store.checkpoint(writer.workspace).await.unwrap().unwrap().position, writer.head);
    assert!(world.store.verdicts(writer.workspace, Position(1), writer.head).await.unwrap().is_empty());
}
