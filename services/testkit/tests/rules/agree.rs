//! FOLD-3 and RULE-1 over random logs.

use std::collections::BTreeMap;
use std::time::Instant;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, Record, RecordKey};
use tidelog_core::ids::CATALOG_TABLE;
use tidelog_core::value::Fields;
use tidelog_core::wire::RecordView;
use tidelog_testkit::oracle::accounting::account;
use tidelog_testkit::oracle::coverage::Coverage;
use tidelog_testkit::oracle::generate::{example_resolver, generate};
use tidelog_testkit::oracle::{self, OracleState};

use crate::fold::{Outcome, fold, resolvers};

/// Logs of a test run.
const SEEDS: u64 = 600;
/// Events of each.
const EVENTS: usize = 40;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_replica_of_every_log_comes_to_what_the_oracle_says_and_no_value_is_lost() {
    let (first, seeds) = (number("TIDELOG_SOAK_FIRST", 0), number("TIDELOG_SOAK_SEEDS", SEEDS));
    let (began, mut coverage) = (Instant::now(), Coverage::default());
    for seed in first..first + seeds {
        let events = generate(seed, EVENTS);
        let expected = oracle::fold(&events, &example_resolver);
        let folded = fold(&events);
        same(seed, &events, &expected, &folded);
        let rows: Vec<_> = folded.ledger.values().cloned().collect();
        if let Err(lost) = account(&events, &folded.records, &rows) {
            panic!("seed {seed}: {}", lost[0]);
        }
        let sizes = [seed as usize % 7 + 1, seed as usize % 3 + 1, EVENTS];
        assert_eq!(
            fold_in_pages(&events, &sizes, stored_and_read),
            folded,
            "seed {seed}: a projector in steps of {sizes:?}"
        );
        assert_eq!(
            fold_in_pages(&events, &sizes, viewed),
            folded,
            "seed {seed}: a replica that begins anew at each of {sizes:?}"
        );
        coverage.add(&expected);
        if (seed + 1 - first) % 10_000 == 0 {
            println!("{} logs in {:?}", seed + 1 - first, began.elapsed());
        }
    }
    assert_eq!(coverage.unlisted(), Vec::<String>::new());
    assert!(seeds < SEEDS || coverage.missing().is_empty(), "no log reached {:?}", coverage.missing());
}

/// Says where it first differs: the whole would fill pages.
fn same(seed: u64, events: &[Event], expected: &OracleState, folded: &Outcome) {
    for event in events {
        let (told, position) = (&folded.verdicts[&event.position], event.position);
        let (device, base) = (event.device, event.base);
        let what = format!("{:?} of {device} at {position}, base {base}", event.intent.kind());
        assert_eq!(told, &expected.verdicts[&position], "seed {seed}: the verdict of the {what}");
    }
    let ledger: BTreeMap<_, _> = expected.ledger.iter().map(|row| (row.id.clone(), row)).collect();
    for row in folded.ledger.values() {
        assert_eq!(Some(&row), ledger.get(&row.id), "seed {seed}");
    }
    assert_eq!(folded.ledger.len(), ledger.len(), "seed {seed}");
    for (key, record) in &folded.records {
        assert_eq!(Some(record), expected.records.get(key), "seed {seed}: {key:?}");
    }
    assert_eq!(folded.records.len(), expected.records.len(), "seed {seed}");
}

/// Folds page by page, each time with the records as they come through `keep`, and what else a fold needs.
fn fold_in_pages(events: &[Event], sizes: &[usize], keep: fn(&RecordKey, &Record) -> Record) -> Outcome {
    let (mut records, mut outcome, mut catalog) = (BTreeMap::<RecordKey, Record>::new(), Outcome::default(), None);
    let (mut rest, mut sizes) = (events, sizes.iter().cycle());
    while !rest.is_empty() {
        let (page, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        let mut folder = Folder::with_resolvers(resolvers());
        if let Some((version, catalog)) = catalog.clone() {
            folder.set_catalog(version, catalog);
        }
        for (key, record) in &records {
            folder.load(key.clone(), keep(key, record));
        }
        for event in page {
            outcome.take(event, &folder.fold(event).unwrap());
            if event.table.as_str() == CATALOG_TABLE {
                catalog = Some(Catalog::from_event(event).unwrap());
            }
        }
        records.extend(folder.take_changed());
        rest = later;
    }
    outcome.take_records(records.iter());
    outcome
}

/// As a projector keeps it.
fn stored_and_read(_: &RecordKey, record: &Record) -> Record {
    let (mut fields, mut state) = (Vec::new(), Vec::new());
    record.write_fields(&mut fields);
    record.write_state(&mut state);
    let plain = Fields::from_msgpack(&fields).unwrap();
    let positions = (record.version, record.touched);
    let read = Record::of_stored(plain, &state, record.deleted, positions, record.updated_at).unwrap();
    assert_eq!(&read, record);
    read
}

/// As a client takes it from a snapshot with `state=full`, over the wire.
fn viewed(key: &RecordKey, record: &Record) -> Record {
    let view = record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), true);
    let json = serde_json::to_string(&view).unwrap();
    let view: RecordView = serde_json::from_str(&json).unwrap();
    let (read_key, read) = Record::of_view(&view).unwrap();
    assert_eq!(&read_key, key);
    read
}
