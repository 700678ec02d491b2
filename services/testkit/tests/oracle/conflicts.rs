//! Open conflicts, the ops that overtake them, and resolves.

use serde_json::{Value as Json, json};
use tidelog_testkit::oracle::Status;

use crate::script::Script;

/// A log with an open conflict: event 2 of device 1 is stored, and event 3 of device 2 is concurrent with it.
fn asked() -> Script {
    let mut log = Script::new("rule = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    log.put(2, 1, json!({"a": 2}));
    log
}

#[test]
fn overtaken_by_a_put_that_takes_the_field_and_knew_both_events() {
    let mut log = asked();
    log.put(1, 2, json!({"a": 3})); // knows its own event 2, and not 3
    log.put(3, 3, json!({"b": 1})); // another field
    assert_eq!(log.conflicts(), ["3.a manual open: 2=1 beats 3=2"]);
    log.put(3, 4, json!({"a": 4}));
    assert_eq!(log.conflicts(), ["3.a manual overtaken by 6: 2=1 beats 3=2"]);
}

#[test]
fn overtaken_by_a_delete_that_takes_effect() {
    let mut log = asked();
    log.delete(3, 3);
    assert_eq!(log.conflicts(), ["3.a manual overtaken by 4: 2=1 beats 3=2"]);
}

#[test]
fn a_conflict_of_no_field_is_overtaken_by_deletes_only() {
    let mut log = Script::new("on_delete = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    log.delete(2, 1);
    log.put(3, 3, json!({"a": 4}));
    assert_eq!(log.conflicts(), ["3. manual open: 2 beats 3=deleted"]);
    log.delete(3, 4);
    assert_eq!(log.conflicts(), ["3. manual overtaken by 5: 2 beats 3=deleted"]);
}

#[test]
fn a_resolve_closes_the_row_and_its_two_events_do_not_count_as_concurrent() {
    let mut log = asked();
    log.resolve(3, 1, "3.a", json!({"a": 5}));
    assert_eq!(log.conflicts(), ["3.a manual resolved by 4: 2=1 beats 3=2"]);
    assert_eq!((log.shown(), log.verdict(4)), (json!({"a": 5}), "applied"));
}

#[test]
fn a_resolve_closes_the_row_whatever_becomes_of_it() {
    let mut log = asked();
    log.put(3, 3, json!({"b": 1}));
    log.put(1, 4, json!({"b": 2}));
    log.resolve(2, 3, "3.a", json!({"b": 3}));
    let rows = ["3.a manual resolved by 6: 2=1 beats 3=2", "6.b manual open: 5=2 beats 6=3"];
    assert_eq!((log.conflicts(), log.verdict(6)), (rows.map(str::to_owned).to_vec(), "conflict"));
}

#[test]
fn a_resolve_may_delete_and_may_bring_back() {
    let mut log = asked();
    log.resolve(3, 1, "3.a", Json::Null);
    assert_eq!((log.shown(), log.verdict(4)), (json!("deleted"), "applied"));
    log.put(2, 3, json!({"a": 9}));
    assert_eq!(log.conflicts()[1], "5.a delete_wins automatic: 4=deleted beats 5=9");
    log.resolve(1, 1, "5.a", json!({"a": 9}));
    assert_eq!(log.conflicts()[1], "5.a delete_wins resolved by 6: 4=deleted beats 5=9");
    assert_eq!(log.shown(), json!({"a": 9}), "a loser is restored");
}

#[test]
fn if_the_row_is_resolved_already_e_is_superseded_and_its_values_go_to_the_conflicts() {
    let mut log = asked();
    log.resolve(3, 3, "3.a", json!({"a": 5}));
    log.resolve(4, 3, "3.a", json!({"a": 6, "b": 7}));
    let rows = ["5.a resolved automatic: 4=5 beats 5=6", "5.b resolved automatic: nobody beats 5=7"];
    assert_eq!((&log.conflicts()[1..], log.verdict(5)), (&rows.map(str::to_owned)[..], "superseded"));
    log.resolve(4, 3, "3.a", json!({"a": 5}));
    assert_eq!((log.conflicts().len(), log.verdict(6)), (3, "superseded"), "an equal value makes no conflict");
    log.resolve(4, 3, "3.a", Json::Null);
    assert_eq!(log.conflicts()[3], "7. resolved automatic: nobody beats 7=deleted");
    log.delete(3, 7);
    log.resolve(4, 3, "3.a", json!({"a": 5}));
    assert_eq!(log.conflicts()[4], "9.a resolved automatic: 8=deleted beats 9=5");
    log.resolve(4, 3, "3.a", Json::Null);
    assert_eq!((log.conflicts().len(), log.verdict(10)), (5, "superseded"), "it is deleted already");
}

#[test]
fn a_resolve_settles_with_the_event_that_beat_the_op_as_a_whole() {
    let mut log = Script::new("granularity = \"record\"\n[tables.t.fields.m]\nrule = \"manual\"");
    log.put(1, 1, json!({"m": 1}));
    log.put(2, 2, json!({"a": 1}));
    log.put(3, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["4.a manual open: 3=1 beats 4=2, by 2"]);
    log.resolve(4, 1, "4.a", json!({"a": 2}));
    assert_eq!(
        log.conflicts(),
        ["4.a manual resolved by 5: 3=1 beats 4=2, by 2", "5.a last_write_wins automatic: 5=2 beats 3=1"]
    );
}

#[test]
fn an_unknown_id_or_one_of_another_record_is_a_plain_put() {
    let mut log = asked();
    log.resolve(1, 3, "99.a", json!({"a": 5}));
    assert_eq!(log.conflicts(), ["3.a manual overtaken by 4: 2=1 beats 3=2"]);
    log.record = "other";
    log.resolve(1, 3, "3.a", json!({"a": 6}));
    assert_eq!((log.shown(), log.conflicts().len()), (json!({"a": 6}), 1));
}

#[test]
fn a_record_has_at_most_1000_open_conflicts_and_remembers_1000_closed_ones() {
    let mut log = Script::new("rule = \"manual\"");
    log.put(1, 1, json!({"a": 1, "b": 1}));
    for device in 2..=1_001 {
        log.put(device, 1, json!({"a": device as i64}));
    }
    let full = log.put(2_000, 1, json!({"a": 0}));
    assert_eq!((full, log.verdict(1_002), log.verdict(full)), (1_003, "conflict", "superseded"));
    assert_eq!(log.conflicts().last().unwrap(), "1003.a manual automatic: 2=1 beats 1003=0");
    // One conflict is closed, so there is room for another one.
    log.resolve(1, 1_003, "3.a", json!({"b": 2}));
    let again = log.put(2_001, 1, json!({"a": 0}));
    assert_eq!(log.verdict(again), "conflict");
    // All are overtaken. Of the 1,002 closed conflicts the two oldest are forgotten.
    log.put(1, again, json!({"a": 7}));
    assert!(log.state().conflicts.iter().all(|row| row.status != Status::Open));
    let forgotten = log.resolve(1, again, "4.a", json!({"a": 8}));
    let remembered = log.resolve(1, again, "5.a", json!({"a": 9}));
    assert_eq!((log.verdict(forgotten), log.verdict(remembered)), ("applied", "superseded"));
    assert_eq!(log.shown(), json!({"a": 8, "b": 2}));
}
