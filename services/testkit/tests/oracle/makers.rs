//! Ops that are a device's own, though they bear another name.

use serde_json::json;

use crate::script::Script;

/// What is in conflict is an op that the first writer's device would not have known of.
const FIRST: &str = "rule = \"first_write_wins\"";

#[test]
fn a_device_knows_what_it_made_under_an_earlier_name_up_to_the_seq_that_it_says() {
    let mut log = Script::new(FIRST);
    log.put(1, 1, json!({"a": 1})); // seq 1
    log.put(1, 1, json!({"b": 1})); // seq 2
    log.replaces(2, 1, 1);
    log.put(2, 1, json!({"a": 2, "b": 2}));
    assert_eq!(log.conflicts(), ["5.b first_write_wins automatic: 3=1 beats 5=2"]);
    // The twin knows nothing of what the new name made.
    log.put(1, 1, json!({"a": 3}));
    assert_eq!(log.conflicts()[1], "6.a first_write_wins automatic: 5=2 beats 6=3");
}

#[test]
fn an_earlier_name_counts_from_the_event_that_says_it_and_the_latest_one_holds() {
    let mut log = Script::new(FIRST);
    log.put(1, 1, json!({"a": 1}));
    log.put(3, 1, json!({"b": 1}));
    log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts().len(), 1);
    log.replaces(2, 1, 9);
    log.put(2, 1, json!({"a": 3}));
    log.replaces(2, 3, 9);
    log.put(2, 1, json!({"b": 2}));
    assert_eq!((log.conflicts().len(), log.shown()), (1, json!({"a": 3, "b": 2})));
}

#[test]
fn names_are_followed_through_a_chain_and_a_loop_ends() {
    let mut log = Script::new(FIRST);
    log.put(1, 1, json!({"a": 1}));
    log.replaces(2, 1, 1);
    log.replaces(3, 2, 0);
    log.replaces(1, 3, 0);
    log.put(3, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), Vec::<String>::new());
    log.put(4, 1, json!({"a": 3}));
    log.put(1, 1, json!({"a": 4}));
    let rows = ["7.a first_write_wins automatic: 6=2 beats 7=3", "8.a first_write_wins automatic: 6=2 beats 8=4"];
    assert_eq!(log.conflicts(), rows, "device 1 says that it was 3 before its first op");
}

#[test]
fn readmitted_ops_are_of_the_device_that_made_them() {
    let mut log = Script::new(FIRST);
    log.put(1, 1, json!({"a": 1})); // seq 1
    for (seq, value) in [(2, 2), (3, 3)] {
        log.readmits(1, seq);
        log.put(0, 1, json!({"a": value}));
    }
    assert_eq!((log.conflicts(), log.shown()), (vec![], json!({"a": 3})));
    log.put(2, 1, json!({"a": 4}));
    log.put(0, 1, json!({"a": 5}));
    let state = log.state();
    let devices: Vec<_> = state.conflicts.iter().map(|row| row.winner.as_ref().unwrap().event.unwrap().1).collect();
    assert!(devices.iter().all(|device| device.0.as_u128() == 1), "{devices:?}");
    log.put(1, 1, json!({"a": 6}));
    assert_eq!((log.conflicts().len(), log.shown()), (2, json!({"a": 6})), "the next op of the device itself");
}
