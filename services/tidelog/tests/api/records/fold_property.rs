//! FOLD-1, FOLD-3: the records, conflicts and outcomes that a server serves equal core's fold of the pulled log, for random
//! ops of three devices under every rule.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};
use tidelog_core::event::Event;
use tidelog_core::fold::{Content, Folder, Side};
use tidelog_core::ids::{ConflictId, DeviceId, Position, Scope, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{EventView, RecordView, SideView};
use tidelog_testkit::{Phone, Reader, TestApp, fields};

const CATALOG: &str = "
roles = [\"boss\", \"staff\"]
[tables.server]
[tables.device]
clock = \"device\"
[tables.first]
rule = \"first_write_wins\"
[tables.ranked]
rule = \"role_priority\"
[tables.manual]
rule = \"manual\"
[tables.mixed.fields.a]
rule = \"first_write_wins\"
[tables.mixed.fields.b]
rule = \"last_write_wins\"
clock = \"device\"
[tables.sums.fields.a]
merge = \"sum\"
[tables.updates]
on_delete = \"update_wins\"
[tables.ruled]
rule = \"role_priority\"
on_delete = \"rule\"
[tables.asked]
on_delete = \"manual\"
[tables.whole]
rule = \"first_write_wins\"
granularity = \"record\"
";
const TABLES: [&str; 11] =
    ["server", "device", "first", "ranked", "manual", "mixed", "sums", "updates", "ruled", "asked", "whole"];
/// Random logs that the test plays.
const CASES: u32 = 60;

/// One step of a device.
#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Change>),
    Pull,
}

#[derive(Debug, Clone)]
struct Change {
    table: usize,
    record: u8,
    scope: bool,
    what: What,
    behind: i64,
    clock_ms: Option<i64>,
}

#[derive(Debug, Clone)]
enum What {
    Put(Vec<(bool, i64)>),
    Delete,
    Resolve(i64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        6 => prop::collection::vec((any::<bool>(), 0..3i64), 0..3).prop_map(What::Put),
        2 => Just(What::Delete),
        1 => (2..40i64, any::<bool>()).prop_map(|(position, field)| What::Resolve(position, field)),
    ];
    let clock = prop::option::of(-100_000..100_000i64);
    let change = (0..TABLES.len(), 0..2u8, prop::bool::weighted(0.2), what, 0..6i64, clock);
    let change = change.prop_map(|(table, record, scope, what, behind, clock_ms)| Change {
        table,
        record,
        scope,
        what,
        behind,
        clock_ms,
    });
    prop_oneof![3 => prop::collection::vec(change, 1..6).prop_map(Step::Push), 1 => Just(Step::Pull)]
}

fn name(field: bool) -> &'static str {
    if field { "a" } else { "b" }
}

fn op_of(phone: &mut Phone, change: &Change, now: UnixMs) -> Op {
    let fields_of = |given: &[(bool, i64)]| {
        let given = given.iter().map(|(field, value)| (name(*field).to_owned(), json!(value)));
        fields(Json::Object(given.collect()))
    };
    let intent = match &change.what {
        What::Put(given) => Intent::Put(fields_of(given)),
        What::Delete => Intent::Delete,
        What::Resolve(position, field) => Intent::Resolve {
            conflict: ConflictId::of(Position(*position), name(*field)),
            put: Some(fields_of(&[(*field, 9)])),
        },
    };
    let base = Position((phone.position().0 - change.behind).max(0));
    let op = phone.op(TABLES[change.table], &format!("r{}", change.record), intent);
    let scope = if change.scope { Scope::parse("s").unwrap() } else { Scope::everyone() };
    Op { base: Some(base), at: change.clock_ms.map(|ms| UnixMs(now.0 + ms)), scope, ..op }
}

/// The log as a replica folds it.
struct Replica {
    folder: Folder,
    /// Every conflict in the words of the protocol.
    conflicts: BTreeMap<ConflictId, Json>,
    /// What became of each op that did not simply apply, by device and seq.
    outcomes: Vec<(DeviceId, Seq, Verdict, Vec<ConflictId>)>,
}

fn replica(events: &[EventView]) -> Replica {
    let (mut folder, mut conflicts, mut outcomes) = (Folder::new(), BTreeMap::new(), Vec::new());
    for event in events {
        let event = Event::try_from(event.clone()).unwrap();
        let folded = folder.fold(&event).unwrap();
        let mut made: Vec<_> = folded.conflicts.iter().map(|row| row.id.clone()).collect();
        made.sort_by(|one, other| one.parts().cmp(&other.parts()));
        if folded.verdict != Verdict::Applied || !made.is_empty() {
            outcomes.push((event.device, event.seq, folded.verdict, made));
        }
        for row in folded.conflicts {
            let mut view = json!({"field": row.field, "rule": row.rule.to_string(), "status": row.status.as_str()});
            view["record"] = json!([event.table, event.scope, event.record]);
            (view["winner"], view["loser"]) = (json!(row.winner.as_ref().map(side)), side(&row.loser));
            view["beaten_by"] = json!(row.beaten_by.map(|event| (event.position, event.device)));
            conflicts.insert(row.id, view);
        }
        for closed in folded.closed {
            let row = conflicts.get_mut(&closed.id).unwrap();
            (row["status"], row["resolved_by"]) = (json!(closed.status.as_str()), json!(event.position));
        }
    }
    Replica { folder, conflicts, outcomes }
}

/// What became of a device's ops as the server lists it, page by page, in the same words.
async fn outcomes(phone: &Phone) -> Vec<(DeviceId, Seq, Verdict, Vec<ConflictId>)> {
    let (mut outcomes, mut after) = (Vec::new(), 0);
    loop {
        let page = phone.ops_page(&format!("limit=2&after={after}&records=true")).await;
        for op in page.ops {
            assert!(op.record.is_some(), "each of these ops has named a record");
            outcomes.push((phone.device, op.seq, op.verdict, op.conflicts));
        }
        if !page.more {
            assert_eq!(page.folded_to, page.last_seq, "everything is folded");
            return outcomes;
        }
        assert!(page.folded_to > after, "each page makes progress");
        after = page.folded_to;
    }
}

/// The ids of the conflicts that changed after a position, page by page, each with the position of its last change.
async fn changes(reader: &Phone, changed_after: i64) -> Vec<(Position, ConflictId)> {
    let (mut changes, mut after) = (Vec::new(), String::new());
    loop {
        let page = reader.conflicts_page(&format!("changed_after={changed_after}&limit=3{after}")).await;
        changes.extend(page.conflicts.into_iter().map(|row| (row.changed_at, row.conflict)));
        if !page.more {
            return changes;
        }
        after = format!("&after={}", page.cursor.unwrap());
    }
}

/// The same as the replica has it.
fn changes_of(conflicts: &BTreeMap<ConflictId, Json>, changed_after: i64) -> Vec<(Position, ConflictId)> {
    let changed_at =
        |id: &ConflictId, row: &Json| row["resolved_by"].as_i64().map_or_else(|| id.parts().unwrap().0, Position);
    let mut changes: Vec<_> = conflicts.iter().map(|(id, row)| (changed_at(id, row), id.clone())).collect();
    changes.retain(|(position, _)| position.0 > changed_after);
    changes.sort_by(|(at, id), (other_at, other)| (at, id.parts()).cmp(&(other_at, other.parts())));
    changes
}

fn side(side: &Side) -> Json {
    match &side.content {
        Content::Value(value) => json!([side.position, side.device, value]),
        Content::Deleted => json!([side.position, side.device, "deleted"]),
        Content::NotGiven => json!([side.position, side.device]),
    }
}

/// Every conflict as the server serves it, page by page, in the same words.
async fn conflicts(reader: &Phone) -> BTreeMap<ConflictId, Json> {
    let (mut conflicts, mut after) = (BTreeMap::new(), String::new());
    loop {
        let page = reader.conflicts_page(&format!("limit=3{after}")).await;
        for row in page.conflicts {
            let mut view = json!({"field": row.field, "rule": row.rule, "status": row.status});
            view["record"] = json!([row.table, row.scope, row.record]);
            let side = |SideView { event, value, deleted }: &SideView| match (value, deleted) {
                (Some(value), _) => json!([event.position, event.device, value]),
                (None, true) => json!([event.position, event.device, "deleted"]),
                (None, false) => json!([event.position, event.device]),
            };
            view["beaten_by"] = json!(row.beaten_by.map(|event| (event.position, event.device)));
            (view["winner"], view["loser"]) = (json!(row.winner.as_ref().map(side)), side(&row.loser));
            if let Some(by) = row.resolved_by {
                view["resolved_by"] = json!(by);
            }
            conflicts.insert(row.conflict, view);
        }
        if !page.more {
            return conflicts;
        }
        after = format!("&after={}", page.cursor.unwrap());
    }
}

/// Records of one workspace with all of their state, in the order of their addresses.
#[derive(Debug, PartialEq)]
struct Played {
    /// As the server serves them.
    served: Vec<RecordView>,
    /// As a replica has folded them.
    folded: Vec<RecordView>,
}

/// Plays the steps of three devices in turn on a server. Compares the conflicts and the plain records, and returns the full
/// ones.
async fn play(app: &TestApp, steps: &[(u8, Step)]) -> Played {
    let workspace = app.another_workspace().await;
    let mut phones = Vec::new();
    for role in ["boss", "staff", "staff"] {
        phones.push(app.phone_of(workspace, role, role).await);
    }
    let now = app.now();
    for (device, step) in steps {
        let phone = &mut phones[usize::from(*device)];
        match step {
            Step::Pull => drop(phone.pull_in_pages_of(3).await),
            Step::Push(changes) => {
                let ops: Vec<_> = changes.iter().map(|change| op_of(phone, change, now)).collect();
                assert_eq!(phone.push(&ops).await.rejected, []);
            }
        }
    }
    let mut reader = app.phone_of(workspace, "reader", "staff").await;
    let Replica { folder, conflicts: expected, outcomes: expected_outcomes } =
        replica(&reader.pull_in_pages_of(7).await);
    // Once the marker is folded, so is everything before it.
    let marker = reader.put("server", "marker", json!({}));
    reader.push_and_wait(&[marker]).await;
    assert_eq!(conflicts(&reader).await, expected, "the server's conflicts are the replica's");
    for phone in &phones {
        let of_phone = expected_outcomes.iter().filter(|(device, ..)| *device == phone.device).cloned();
        assert_eq!(outcomes(phone).await, of_phone.collect::<Vec<_>>(), "the server's outcomes are the replica's");
    }
    for after in [0, reader.position().0 / 2] {
        assert_eq!(
            changes(&reader, after).await,
            changes_of(&expected, after),
            "the conflicts that changed after {after}"
        );
    }
    let live: Vec<_> = folder.views(false).filter(|record| !record.deleted).collect();
    assert_eq!(served(&reader, 4, "").await, live, "the plain records are the live ones");
    Played { served: served(&reader, 5, "&state=full").await, folded: folder.views(true).collect() }
}

/// The records that the server serves in pages of `limit`, without the marker.
async fn served(reader: &Phone, limit: usize, query: &str) -> Vec<RecordView> {
    let (mut records, _) = reader.records_in_pages_of(limit, query).await;
    records.retain(|record| record.record.as_str() != "marker");
    records.sort_by(|a, b| (&a.table, &a.scope, &a.record).cmp(&(&b.table, &b.scope, &b.record)));
    records
}

#[test]
fn records_equal_the_fold_of_the_pulled_log() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::build().catalog(CATALOG).start());
    let mut reached = Reached::default();
    // A failure prints the seed, and proptest saves it beside this file.
    let mut runner = TestRunner::new(Config { cases: CASES, max_shrink_iters: 200, ..Config::default() });
    let reached_cell = std::cell::RefCell::new(&mut reached);
    let steps = prop::collection::vec((0..3u8, step()), 5..40);
    runner
        .run(&steps, |steps| {
            let played = runtime.block_on(play(&app, &steps));
            reached_cell.borrow_mut().note(&played.folded);
            prop_assert_eq!(played.served, played.folded);
            Ok(())
        })
        .unwrap();
    let has_reached_all = reached.deleted && reached.conflict && reached.reborn && reached.scoped;
    assert!(has_reached_all, "the generator misses a case: {reached:?}");
    drop(app);
}

/// Which cases the generated logs have reached. A test whose generator misses a case proves nothing about it.
#[derive(Debug, Default)]
struct Reached {
    deleted: bool,
    conflict: bool,
    reborn: bool,
    scoped: bool,
}

impl Reached {
    fn note(&mut self, records: &[RecordView]) {
        for record in records {
            self.deleted |= record.deleted;
            self.conflict |= record.conflicts.as_ref().is_some_and(|open| !open.is_empty());
            self.reborn |= !record.deleted && record.last_delete.is_some();
            self.scoped |= !record.scope.as_str().is_empty();
        }
    }
}
