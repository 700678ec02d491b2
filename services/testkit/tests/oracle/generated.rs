//! The generator, and the oracle and the accounting on the logs that it makes.

use tidelog_core::event::Event;
use tidelog_core::ids::Position;
use tidelog_testkit::oracle::accounting::{account, losses};
use tidelog_testkit::oracle::coverage::Coverage;
use tidelog_testkit::oracle::generate::{example_resolver, generate};
use tidelog_testkit::oracle::{Oracle, RecordKey, Shown, fold, refold, refolds};

#[test]
fn the_generator_reaches_every_branch_of_the_rules() {
    let mut coverage = Coverage::default();
    for seed in 0..300 {
        let log = generate(seed, 60);
        let of_their_time = fold(&log, &example_resolver);
        coverage.add(&of_their_time);
        for at in refolds(&log) {
            coverage.add_refold(&of_their_time, &refold(&log, at, &example_resolver));
        }
    }
    assert_eq!((coverage.missing(), coverage.unlisted()), (Vec::new(), Vec::new()), "{coverage}");
}

#[test]
fn a_seed_is_one_log_and_positions_and_seqs_are_dense() {
    for seed in 0..20 {
        let log = generate(seed, 50);
        assert_eq!(log, generate(seed, 50), "seed {seed}");
        assert!(log.iter().zip(1..).all(|(event, at)| event.position == Position(at)), "seed {seed}");
        assert!(log.windows(2).all(|pair| pair[0].received_at <= pair[1].received_at), "seed {seed}");
        assert!(log.iter().all(|event| event.base < event.batch && event.batch <= event.position), "seed {seed}");
        for event in &log {
            let before = log.iter().filter(|other| other.device == event.device && other.position < event.position);
            let (mut count, mut base) = (0, Position::START);
            before.for_each(|other| (count, base) = (count + 1, base.max(other.base)));
            assert_eq!(event.seq.0, count + 1, "seed {seed}, {}", event.position);
            // The server has the ops that it readmits with the bases that they had.
            assert!(event.base >= base || event.device.is_system(), "seed {seed}, {}", event.position);
        }
    }
}

/// What a reader sees of each event's record after it.
fn shown(log: &[Event]) -> Vec<Shown> {
    let mut oracle = Oracle::new(&example_resolver);
    let after = |event: &Event| {
        oracle.take(event);
        oracle.shown(&RecordKey::of(event))
    };
    log.iter().map(after).collect()
}

#[test]
fn rule_1_holds_for_the_oracle() {
    for seed in 0..200 {
        let log = generate(seed, 60);
        let state = fold(&log, &example_resolver);
        let mut faults = account(&log, &state.records, &state.conflicts).err().unwrap_or_default();
        faults.extend(losses(&log, &shown(&log), &state.conflicts));
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}\n{:#?}\n{:#?}", brief(&log), state.conflicts);
    }
}

#[test]
fn rule_1_finds_a_conflict_or_a_value_that_is_missing() {
    let (mut conflicts, mut missed, mut values, mut unseen) = (0, 0, 0, 0);
    for seed in 0..60 {
        let log = generate(seed, 40);
        let (state, shown) = (fold(&log, &example_resolver), shown(&log));
        for without in 0..state.conflicts.len() {
            let mut rest = state.conflicts.clone();
            rest.remove(without);
            conflicts += 1;
            let is_missed = losses(&log, &shown, &rest).is_empty();
            missed += usize::from(is_missed && account(&log, &state.records, &rest).is_ok());
        }
        for (key, record) in &state.records {
            for field in record.fields.keys() {
                let mut records = state.records.clone();
                records.get_mut(key).unwrap().fields.remove(field);
                values += 1;
                unseen += usize::from(account(&log, &records, &state.conflicts).is_ok());
            }
        }
    }
    // It does not find all of them. The loser of a conflict may also be stored, or have been given twice. A value may have
    // been known to a later event, or another event may have given it as well.
    assert!(missed * 10 < conflicts, "it missed {missed} of {conflicts} conflicts");
    assert!(unseen * 2 < values, "it missed {unseen} of {values} values");
}

/// The events of a log, one on each line.
fn brief(log: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let (position, base, device) = (event.position, event.base, event.device.0.as_u128());
        format!("{position} base {base} device {device} {} {:?} {:?}", event.record, event.intent, event.rejected)
    };
    log.iter().map(line).collect()
}
