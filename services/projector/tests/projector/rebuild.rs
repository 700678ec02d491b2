//! Rebuilds beside the live records: they give the same bytes in steps of any size and with kills (FOLD-2), while reads and
//! pushes go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::Registry;
use rand::RngExt;
use rand::rngs::StdRng;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{EventFilter, Generations, RecordsQuery, Store, StoreConfig};
use tidelog_projector::{Progress, Projector, RebuildProgress};

use crate::exactly_once::random;
use crate::world::{NOW, Running, World};
use crate::writer::Writer;

const TABLES: [&str; 5] = ["records", "record_events", "verdicts", "conflicts", "digests"];
/// The world's catalog with another rule for the table `last`.
const OTHER: &str = "roles = [\"member\"]\n[tables.last]\nrule = \"first_write_wins\"\n[tables.first]\n\
    rule = \"first_write_wins\"\n[tables.manual]\nrule = \"manual\"";

/// An amount, which a soak sets by an environment variable.
fn amount(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn projector(world: &World) -> Projector {
    let store = Store::new(&StoreConfig { url: world.database.url().to_owned(), pool_size: 8 }).unwrap();
    Projector::new(store, Arc::default(), &Registry::new()).unwrap()
}

/// Every row that the projector has stored for a workspace in its live table set, as text.
async fn live_rows(world: &World, workspace: WorkspaceId) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!(
            "SELECT '{table} ' || (to_jsonb(t) - 'table_set')::text FROM tidelog.{table} t
            JOIN tidelog.checkpoints c ON c.workspace = t.workspace AND c.table_set = t.table_set AND c.live
            WHERE t.workspace = $1 AND NOT ('{table}' = 'digests' AND to_jsonb(t)->>'records' = '0') ORDER BY 1"
        );
        rows.extend(world.owner.query(&sql, &[&workspace.0]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    rows
}

/// Two devices of a new workspace, whose ops are often concurrent.
pub(crate) async fn two_writers(world: &World, number: u128) -> [Writer; 2] {
    let writer = world.writer(number).await;
    [world.another_writer(writer.workspace, 1_000 * number + 1).await, writer]
}

pub(crate) async fn append(world: &World, writers: &mut [Writer; 2], random: &mut StdRng, events: usize) {
    let mut left = events;
    while left > 0 {
        let ops = random.random_range(1..=left.min(20));
        writers[usize::from(random.random_bool(0.5))].append(world, random, ops).await;
        left -= ops;
    }
}

/// The head of the writers' log.
fn head(writers: &[Writer; 2]) -> Position {
    writers[0].head.max(writers[1].head)
}

async fn fold_all(projector: &Projector, workspace: WorkspaceId) {
    while projector.step(workspace).await.unwrap() != Progress::Idle {}
}

async fn generations(world: &World, workspace: WorkspaceId) -> Generations {
    world.store.generations(Some(workspace)).await.unwrap()[0]
}

async fn drop_kept(world: &World, workspace: WorkspaceId) {
    let kept = generations(world, workspace).await.kept().unwrap();
    world.store.drop_generations(&[kept]).await.unwrap();
}

async fn rebuild(projector: &Projector, workspace: WorkspaceId) -> i64 {
    projector.rebuild(&[workspace], &Arc::default()).await.unwrap()[0].generation
}

/// Waits until a rebuild has folded so many events.
async fn has_folded(progress: &RebuildProgress, events: i64) {
    while progress.folded.load(Ordering::Relaxed) < events {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}

/// FOLD-2. A soak rebuilds `TIDELOG_SOAK_SEEDS` logs of `TIDELOG_SOAK_EVENTS` events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_rebuilt_in_steps_of_any_size_and_with_kills_gives_the_same_rows() {
    let mut random = random();
    let world = World::start().await;
    let log_events = amount("TIDELOG_SOAK_EVENTS", 1_500);
    let mut kills = 0;
    for log in 0..amount("TIDELOG_SOAK_SEEDS", 2) {
        let mut writers = two_writers(&world, 1 + log as u128).await;
        let workspace = writers[0].workspace;
        append(&world, &mut writers, &mut random, log_events).await;
        fold_all(&projector(&world), workspace).await;
        let expected = live_rows(&world, workspace).await;
        assert!(TABLES.iter().all(|table| expected.iter().any(|row| row.starts_with(table))), "every table has rows");
        for events in [1, 7, 1_000] {
            let before = generations(&world, workspace).await.live.checkpoint.generation;
            loop {
                let projector = projector(&world).with_step_events(events);
                let progress = Arc::new(RebuildProgress::default());
                let workspaces = [workspace];
                let rebuilding = projector.rebuild(&workspaces, &progress);
                // One of five is not killed, so that also the last one ends.
                let kill_after = random.random_range(0..log_events as i64 * 5 / 4);
                let rebuilt = tokio::select! {
                    rebuilt = rebuilding => Some(rebuilt),
                    () = has_folded(&progress, kill_after) => None,
                };
                match rebuilt {
                    Some(Ok(rebuilt)) => {
                        assert!(rebuilt[0].generation > before);
                        break;
                    }
                    // A rebuild that is killed while it swaps may have swapped.
                    _ if generations(&world, workspace).await.kept().is_some() => break,
                    Some(Err(error)) => panic!("{error}"),
                    None => kills += 1,
                }
            }
            assert_eq!(live_rows(&world, workspace).await, expected, "in steps of {events} events");
            drop_kept(&world, workspace).await;
        }
    }
    println!("{kills} kills");
    assert!(kills > 0, "no rebuild was killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_pushes_go_on_while_records_are_rebuilt_and_rolled_back() {
    let mut random = random();
    let world = World::start().await;
    let (live, wakeups, _) = world.projector();
    let running = Running::start(live);
    let mut writers = two_writers(&world, 1).await;
    let workspace = writers[0].workspace;
    append(&world, &mut writers, &mut random, 1_000).await;
    let builder = projector(&world).with_step_events(20);
    let task = tokio::spawn(async move { rebuild(&builder, workspace).await });
    let (mut before, mut pages, all) = (Position::START, 0, EventFilter::all());
    while !task.is_finished() || pages < 10 {
        append(&world, &mut writers, &mut random, 10).await;
        wakeups.on_appended(workspace, head(&writers), "");
        let query = RecordsQuery {
            after: Position::START,
            start: None,
            filter: &all,
            limit: 1_000,
            bytes: usize::MAX,
            full: true,
        };
        let page = world.store.records(workspace, &query).await.unwrap();
        assert!(page.projected >= before, "a swap never shows an earlier state than one that was read");
        let newest = page.records.iter().map(|(_, record)| record.touched).max();
        assert!(newest.is_none_or(|newest| newest <= page.projected));
        assert!(before == Position::START || !page.records.is_empty(), "there are records at any time");
        (before, pages) = (page.projected, pages + 1);
    }
    assert_eq!(task.await.unwrap(), 2);
    world.folded(workspace).await;
    world.assert_records_equal_the_fold(workspace).await;
    append(&world, &mut writers, &mut random, 50).await;
    assert_eq!(world.store.roll_back(None).await.unwrap(), [(workspace, 1)]);
    assert_eq!(world.store.roll_back(None).await.unwrap(), [], "there is no older generation");
    let known = generations(&world, workspace).await;
    assert_eq!((known.live.checkpoint.generation, known.kept(), known.building().is_some()), (1, None, true));
    wakeups.on_appended(workspace, head(&writers), "");
    world.folded(workspace).await;
    world.assert_records_equal_the_fold(workspace).await;
    assert_eq!(rebuild(&projector(&world), workspace).await, 2, "the newer generation is live again");
    world.folded(workspace).await;
    world.assert_records_equal_the_fold(workspace).await;
    running.stop().await;
    let kept = generations(&world, workspace).await.kept().unwrap().checkpoint.table_set;
    drop_kept(&world, workspace).await;
    for table in TABLES {
        let sql = format!("SELECT count(*) FROM tidelog.{table}_{}", kept.0);
        assert_eq!(world.owner.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
    }
    assert_eq!(projector(&world).verify(workspace).await.unwrap().faults.first, Vec::<String>::new());
}

/// If another workspace uses the same table set, only the rows of the dropped generation are deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_of_one_workspace_is_dropped_without_the_rows_of_others() {
    let mut random = random();
    let world = World::start().await;
    let (mut one, mut two) = (two_writers(&world, 1).await, two_writers(&world, 2).await);
    for writers in [&mut one, &mut two] {
        append(&world, writers, &mut random, 100).await;
        fold_all(&projector(&world), writers[0].workspace).await;
    }
    let of_two = live_rows(&world, two[0].workspace).await;
    rebuild(&projector(&world), one[0].workspace).await;
    drop_kept(&world, one[0].workspace).await;
    assert_eq!(live_rows(&world, two[0].workspace).await, of_two);
    for workspace in [one[0].workspace, two[0].workspace] {
        assert_eq!(projector(&world).verify(workspace).await.unwrap().faults.first, Vec::<String>::new());
    }
    let left = "SELECT count(*) FROM tidelog.records WHERE workspace = $1 AND table_set = 0";
    assert_eq!(world.owner.query_one(left, &[&one[0].workspace.0]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refold_makes_the_changes_that_its_preview_showed() {
    let mut random = random();
    let world = World::start().await;
    let mut writers = two_writers(&world, 1).await;
    let workspace = writers[0].workspace;
    append(&world, &mut writers, &mut random, 400).await;
    let projector = projector(&world);
    fold_all(&projector, workspace).await;
    let catalog = Arc::new(Catalog::parse(OTHER).unwrap());
    let same = Arc::new(world.store.catalog_in_force().await.unwrap().unwrap().catalog);
    let preview = async |catalog| projector.preview(workspace, catalog, usize::MAX).await.unwrap();
    assert!(preview(same).await.changes.is_empty());
    let mut shown = preview(Arc::clone(&catalog)).await;
    // Whether the rules give different records depends on which of the last ops knew each other.
    for _ in 0..100 {
        if !shown.changes.is_empty() {
            break;
        }
        append(&world, &mut writers, &mut random, 20).await;
        fold_all(&projector, workspace).await;
        shown = preview(Arc::clone(&catalog)).await;
    }
    assert!(!shown.changes.is_empty());
    let before = live_rows(&world, workspace).await;
    assert!(
        shown.changes.iter().all(|change| change.key.table.as_str() == "last"),
        "the other tables have the same rules as before"
    );
    assert_eq!(shown.tables.values().map(|table| table.changed).sum::<u64>(), shown.changes.len() as u64);
    assert_eq!(live_rows(&world, workspace).await, before, "a preview changes nothing");
    world.store.apply_catalog_to_all(OTHER, &catalog, NOW).await.unwrap();
    let refold = world.store.append_catalog(workspace, NOW).await.unwrap().unwrap();
    let rebuilt = projector.rebuild(&[workspace], &Arc::default()).await.unwrap();
    assert_eq!(rebuilt[0].refold, refold);
    for change in &shown.changes {
        let (_, record) = world.store.record(workspace, &change.key).await.unwrap().unwrap();
        assert_eq!(!record.deleted, change.lives.then);
        let plain = record.plain();
        for field in &change.fields {
            assert_eq!(plain.0.get(&field.field), field.then.as_ref(), "{:?}", change.key);
        }
    }
    assert!(preview(catalog).await.changes.is_empty(), "the new records are already by this catalog");
    assert_eq!(projector.verify(workspace).await.unwrap().faults.first, Vec::<String>::new());
}

/// A rebuild that a newer refold overtakes starts again under the refold's rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_rebuild_starts_over_if_a_refold_came_meanwhile() {
    let mut random = random();
    let world = World::start().await;
    let mut writers = two_writers(&world, 1).await;
    let workspace = writers[0].workspace;
    append(&world, &mut writers, &mut random, 400).await;
    fold_all(&projector(&world), workspace).await;
    // After the rollback the newer generation counts as unfinished.
    rebuild(&projector(&world), workspace).await;
    world.store.roll_back(None).await.unwrap();
    world.store.apply_catalog_to_all(OTHER, &Catalog::parse(OTHER).unwrap(), NOW).await.unwrap();
    let refold = world.store.append_catalog(workspace, NOW).await.unwrap().unwrap();
    let rebuilt = projector(&world).rebuild(&[workspace], &Arc::default()).await.unwrap();
    assert_eq!(
        (rebuilt[0].refold, rebuilt[0].generation),
        (refold, 3),
        "the generation that starts again has a new number"
    );
    assert_eq!(projector(&world).verify(workspace).await.unwrap().faults.first, Vec::<String>::new());
}

/// Gives every record of a workspace a state of form 3, of one writer and without deletes or conflicts.
async fn make_form_3(world: &World, workspace: WorkspaceId) {
    let sql = r"UPDATE tidelog.records SET state = '\x9b039194 01c410'::bytea || decode(repeat('00', 16), 'hex')
            || '\xa66d656d626572b8'::bytea || '1970-01-01T00:00:00.000Z'::bytea
            || set_byte('\x90'::bytea, 0, 144 + (get_byte(fields, 0) & 15))
            || decode(repeat('00', get_byte(fields, 0) & 15), 'hex') || '\x90c0c0c08090009100'::bytea
        WHERE workspace = $1";
    world.owner.execute(sql, &[&workspace.0]).await.unwrap();
    let sql = "UPDATE tidelog.checkpoints SET state_form = 3, folded_position = 0 WHERE workspace = $1";
    world.owner.execute(sql, &[&workspace.0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_projector_rebuilds_the_records_that_an_earlier_version_has_folded() {
    let (world, mut random) = (World::start().await, random());
    let mut writers = two_writers(&world, 1).await;
    let workspace = writers[0].workspace;
    append(&world, &mut writers, &mut random, 300).await;
    let projector = projector(&world);
    fold_all(&projector, workspace).await;
    make_form_3(&world, workspace).await;
    let before = generations(&world, workspace).await.live.checkpoint;
    let all = EventFilter::all();
    let query =
        RecordsQuery { after: Position::START, start: None, filter: &all, limit: 100, bytes: 1 << 20, full: false };
    let read = world.store.records(workspace, &query).await.unwrap();
    assert!(!read.records.is_empty(), "readers see the records of before until they are rebuilt");

    append(&world, &mut writers, &mut random, 20).await;
    assert_eq!(projector.step(workspace).await.unwrap(), Progress::Idle, "nothing is folded into them");
    assert!(projector.verify(workspace).await.unwrap_err().to_string().contains("an earlier version"));
    let move_as_before = "UPDATE tidelog.checkpoints SET position = position + 1 WHERE workspace = $1";
    let move_as_before = async || world.owner.execute(move_as_before, &[&workspace.0]).await;
    move_as_before().await.expect("a server of the earlier version goes on");
    let undo = "UPDATE tidelog.checkpoints SET position = position - 1 WHERE workspace = $1";
    world.owner.execute(undo, &[&workspace.0]).await.unwrap();

    let running = Running::start(Arc::new(projector));
    world.folded(workspace).await;
    running.stop().await;
    world.assert_records_equal_the_fold(workspace).await;
    let after = generations(&world, workspace).await;
    assert!(after.live.checkpoint.generation > before.generation);
    assert!(after.live.checkpoint.is_foldable() && !before.is_foldable());
    let refused = move_as_before().await.unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&tokio_postgres::error::SqlState::CHECK_VIOLATION),
        "the earlier version is locked out"
    );
}
