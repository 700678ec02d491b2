//! FOLD-3 and RULE-1 over random logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{Aliases, Record, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, Position};
use tidelog_core::value::Fields;
use tidelog_core::wire::RecordView;
use tidelog_testkit::oracle::OracleState;
use tidelog_testkit::oracle::accounting::{account, losses};
use tidelog_testkit::oracle::coverage::Coverage;
use tidelog_testkit::oracle::generate::{Weight, generate, generate_heavy};

use crate::fold::{Generation, Outcome, resolvers};

/// Random logs of a test run.
const SEEDS: u64 = 600;
/// Events of a random log.
const EVENTS: usize = 40;
/// Heavy logs of a test run. A soak plays more of them by the same factor as of the others.
const HEAVY_SEEDS: [(Weight, u64); 6] = [
    (Weight::Contributors, 24),
    (Weight::Fields, 2),
    (Weight::Bytes, 10),
    (Weight::Elements, 4),
    (Weight::Conflicts, 8),
    (Weight::Deletes, 12),
];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_replica_of_every_log_agrees_with_the_oracle_and_no_value_is_lost() {
    let (first, seeds) = (number("TIDELOG_SOAK_FIRST", 0), number("TIDELOG_SOAK_SEEDS", SEEDS));
    let (began, mut coverage) = (Instant::now(), Coverage::default());
    for seed in first..first + seeds {
        every_generation_agrees(&format!("seed {seed}"), &generate(seed, EVENTS), seed, &mut coverage);
        if (seed + 1 - first) % 10_000 == 0 {
            println!("{} logs in {:?}", seed + 1 - first, began.elapsed());
        }
    }
    println!("{coverage}");
    assert_eq!(coverage.unlisted(), Vec::<String>::new());
    assert!(seeds < SEEDS || coverage.missing().is_empty(), "no log reached {:?}", coverage.missing());
}

#[test]
fn every_replica_agrees_at_the_limits_of_a_record() {
    let (first, rounds) = (number("TIDELOG_SOAK_FIRST", 0), number("TIDELOG_SOAK_SEEDS", SEEDS).div_ceil(SEEDS));
    let mut coverage = Coverage::default();
    for (weight, seeds) in HEAVY_SEEDS {
        let began = Instant::now();
        for seed in first..first + seeds * rounds {
            let what = format!("{weight:?}, seed {seed}");
            every_generation_agrees(&what, &generate_heavy(seed, weight), seed, &mut coverage);
        }
        println!("{} logs with many {weight:?} in {:?}", seeds * rounds, began.elapsed());
    }
    println!("{coverage}");
    assert_eq!(coverage.missing_heavy(), Vec::<String>::new());
    assert_eq!(coverage.unlisted(), Vec::<String>::new());
}

/// Checks a log by the rules of its time, and by the rules of each of its refolds.
fn every_generation_agrees(what: &str, events: &[Event], seed: u64, coverage: &mut Coverage) {
    let sizes = [seed as usize % 7 + 1, seed as usize % 3 + 1, EVENTS];
    let mut of_their_time = None;
    for generation in Generation::all_of(events) {
        let expected = generation.expected(events);
        every_replica_agrees(&format!("{what}, {generation}"), events, &generation, &expected, &sizes);
        match &of_their_time {
            None => {
                coverage.add(&expected);
                of_their_time = Some(expected);
            }
            Some(of_their_time) => coverage.add_refold(of_their_time, &expected),
        }
    }
}

/// Asserts that every fold of a generation agrees with the oracle, and that no value is lost. The folds are one of the whole
/// log at once, a projector's in steps of these sizes, and that of a replica which starts from a snapshot before each step.
fn every_replica_agrees(
    what: &str,
    events: &[Event],
    generation: &Generation,
    expected: &OracleState,
    sizes: &[usize],
) {
    let folded = generation.fold(events);
    assert_same(what, events, expected, &folded);
    let conflicts: Vec<_> = folded.conflicts.values().cloned().collect();
    let judged = generation.as_if_of_their_time(events);
    let mut lost = account(&judged, &folded.records, &conflicts).err().unwrap_or_default();
    lost.extend(losses(&judged, &generation.shown(events), &conflicts));
    if let Some(lost) = lost.first() {
        panic!("{what}: {lost}");
    }
    for (who, keep) in [("a projector", stored_and_read as Keep), ("a replica from snapshots", viewed)] {
        let in_pages = fold_in_pages(events, generation, sizes, keep);
        assert_eq!(in_pages, folded, "{what}: {who} in steps of {sizes:?}");
    }
}

/// Asserts that a fold and the oracle agree. Fails with the first difference, since all of both would fill pages.
fn assert_same(what: &str, events: &[Event], expected: &OracleState, folded: &Outcome) {
    for event in events {
        let (kind, device, position, base) = (event.intent.kind(), event.device, event.position, event.base);
        let (verdict, of_oracle) = (&folded.verdicts[&position], &expected.verdicts[&position]);
        assert_eq!(verdict, of_oracle, "{what}: the verdict of the {kind:?} of {device} at {position}, base {base}");
    }
    let conflicts: BTreeMap<_, _> = expected.conflicts.iter().map(|conflict| (conflict.id.clone(), conflict)).collect();
    for conflict in folded.conflicts.values() {
        assert_eq!(Some(&conflict), conflicts.get(&conflict.id), "{what}");
    }
    assert_eq!(folded.conflicts.len(), conflicts.len(), "{what}");
    for (key, record) in &folded.records {
        assert_eq!(Some(record), expected.records.get(key), "{what}: {key:?}");
    }
    assert_eq!(folded.records.len(), expected.records.len(), "{what}");
}

/// How a record is kept from one page to the next.
type Keep = fn(&RecordKey, &Record) -> Record;

/// Folds page by page, in pages of whole batches. Each page starts with a new folder, with the records as `keep` returns
/// them, the catalog in force and the names that devices have had.
fn fold_in_pages(events: &[Event], generation: &Generation, sizes: &[usize], keep: Keep) -> Outcome {
    let (mut records, mut outcome) = (BTreeMap::<RecordKey, Record>::new(), Outcome::default());
    let (mut in_force, mut aliases, mut after) = (None, Arc::new(Aliases::default()), Position::START);
    let (mut rest, mut sizes) = (events, sizes.iter().cycle());
    while !rest.is_empty() {
        let least = rest.len().min(*sizes.next().unwrap());
        let batch = rest[least - 1].batch;
        let (page, later) = rest.split_at(rest.iter().take_while(|event| event.batch <= batch).count());
        let mut folder = generation.folder(after, in_force.as_ref(), resolvers());
        folder.set_aliases(Arc::clone(&aliases));
        for (key, record) in &records {
            folder.load(key.clone(), keep(key, record));
        }
        for event in page {
            outcome.take(event, &folder.fold(event).unwrap());
            if event.table.as_str() == CATALOG_TABLE {
                in_force = Some(Catalog::from_event(event).unwrap());
            }
            after = event.position;
        }
        aliases = Arc::clone(folder.aliases());
        // The older blocks of a record's history leave it, and are stored in rows of their own.
        let without_blocks = |(key, mut record): (RecordKey, Record)| {
            record.history.leaving.clear();
            (key, record)
        };
        records.extend(folder.take_changed().into_iter().map(without_blocks));
        rest = later;
    }
    outcome.take_records(records.iter());
    outcome
}

/// The record as a projector stores it and reads it again.
fn stored_and_read(_: &RecordKey, record: &Record) -> Record {
    let (mut fields, mut state) = (Vec::new(), Vec::new());
    record.write_fields(&mut fields);
    record.write_state(&mut state);
    let plain = Fields::from_msgpack(&fields).unwrap();
    let positions = (record.version, record.touched);
    let read = Record::from_stored(plain, &state, record.deleted, positions, record.updated_at).unwrap();
    assert_eq!(&read, record);
    read
}

/// The record as a client gets it from a snapshot with `state=full`, over the wire.
fn viewed(key: &RecordKey, record: &Record) -> Record {
    let view = record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), true);
    let json = serde_json::to_string(&view).unwrap();
    let view: RecordView = serde_json::from_str(&json).unwrap();
    let (read_key, read) = Record::from_view(&view).unwrap();
    assert_eq!(&read_key, key);
    read
}
