//! Deletes, and puts that are concurrent with one.

use serde_json::json;

use crate::script::{HOUR_MS, Script};

#[test]
fn a_delete_without_opponents_leaves_a_tombstone_also_of_a_record_never_seen() {
    let mut log = Script::new("");
    log.delete(1, 1);
    assert_eq!((log.shown(), log.verdict(2), log.versions()), (json!("deleted"), "applied", (2, 2)));
    log.delete(2, 1);
    assert_eq!((log.verdict(3), log.versions()), ("applied", (2, 3)));
}

#[test]
fn delete_wins_deleted_and_a_row_for_each_opponents_field() {
    let mut log = Script::new("[tables.t.fields.n]\nmerge = \"sum\"");
    log.put(1, 1, json!({"a": 1, "n": 1}));
    log.put(3, 2, json!({"n": 1, "known": 1}));
    let delete = log.delete(2, 1);
    let rows = [
        "4.a delete_wins automatic: 4=deleted beats 2=1",
        "4.known delete_wins automatic: 4=deleted beats 3=1",
        "4.n delete_wins automatic: 4=deleted beats 3=2",
    ];
    assert_eq!(
        (log.conflicts(), log.shown(), log.verdict(delete)),
        (rows.map(str::to_owned).to_vec(), json!("deleted"), "applied")
    );
}

#[test]
fn delete_wins_a_concurrent_put_on_a_delete_loses_also_when_the_record_lives_again() {
    let mut log = Script::new("");
    log.put(1, 1, json!({"a": 1}));
    log.delete(1, 2);
    let lost = log.put(2, 2, json!({"a": 2, "b": 1}));
    assert_eq!((log.shown(), log.verdict(lost)), (json!("deleted"), "superseded"));
    log.put(1, 3, json!({"c": 1}));
    assert_eq!(log.shown(), json!({"c": 1}), "the record has the given fields alone");
    log.put(2, 2, json!({"c": 1}));
    let last = &log.conflicts()[2];
    assert_eq!((log.shown(), last.as_str()), (json!({"c": 1}), "6.c delete_wins automatic: 3=deleted beats 6=1"));
    assert_eq!(log.put(2, 2, json!({})), 7);
    assert_eq!((log.verdict(7), log.conflicts().len()), ("superseded", 3), "a put without fields makes no conflict");
}

#[test]
fn update_wins_the_record_lives() {
    let mut log = Script::new("on_delete = \"update_wins\"");
    log.put(1, 1, json!({"a": 1}));
    log.put(3, 2, json!({"b": 1}));
    let lost = log.delete(2, 1);
    assert_eq!(log.conflicts(), ["4. update_wins automatic: 3 beats 4=deleted"]);
    assert_eq!((log.shown(), log.verdict(lost)), (json!({"a": 1, "b": 1}), "superseded"));
}

#[test]
fn update_wins_a_concurrent_put_restores_the_fields_with_their_writers_and_the_delete_before() {
    let mut log = Script::new("on_delete = \"update_wins\"\n[tables.t.fields.f]\nrule = \"first_write_wins\"");
    log.put(1, 1, json!({"a": 1, "f": 1}));
    log.delete(1, 2); // 3
    log.delete(1, 2); // 4: the fields that 3 kept stay kept
    log.put(2, 1, json!({"b": 2, "f": 2}));
    let undone = "5. update_wins automatic: 5 beats 4=deleted";
    assert_eq!(log.conflicts(), [undone, "5.f first_write_wins automatic: 2=1 beats 5=2"]);
    assert_eq!((log.shown(), log.versions()), (json!({"a": 1, "b": 2, "f": 1}), (5, 5)));
    // The last delete is 3 again, as a catalog under which deletes win shows.
    log.catalog("", false);
    log.put(3, 2, json!({"a": 3}));
    assert_eq!(log.conflicts()[2], "7.a delete_wins automatic: 3=deleted beats 7=3");
}

#[test]
fn rule_the_delete_as_a_write_that_must_beat_every_opponent() {
    let mut log = Script::new("on_delete = \"rule\"\nrule = \"role_priority\"");
    log.roles = [(1, "manager"), (2, "clerk"), (3, "guest")].into();
    log.put(1, 1, json!({"a": 1}));
    log.put(3, 2, json!({"b": 1}));
    log.delete(2, 1);
    assert_eq!(log.conflicts(), ["4. role_priority automatic: 2 beats 4=deleted"]);
    log.delete(2, 2);
    assert_eq!(log.conflicts()[1], "5.b role_priority automatic: 5=deleted beats 3=1");
    log.put(3, 4, json!({"c": 1}));
    assert_eq!(log.conflicts()[2], "6.c role_priority automatic: 5=deleted beats 6=1");
    log.put(1, 4, json!({"c": 2}));
    assert_eq!(log.shown(), json!({"a": 1, "b": 1, "c": 2}), "the put wins and restores the fields");
}

#[test]
fn manual_a_person_chooses_between_delete_and_put() {
    let mut log = Script::new("on_delete = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    let asks = log.delete(2, 1);
    assert_eq!((log.shown(), log.verdict(asks)), (json!({"a": 1}), "conflict"));
    log.delete(1, 3);
    let late = log.put(3, 3, json!({"a": 1}));
    let rows = ["3. manual overtaken by 4: 2 beats 3=deleted", "5.a manual open: 4=deleted beats 5=1"];
    assert_eq!((log.conflicts(), log.verdict(late)), (rows.map(str::to_owned).to_vec(), "conflict"));
}

#[test]
fn after_the_retention_concurrent_puts_lose_whatever_on_delete_says_others_still_re_create() {
    let mut log = Script::new("on_delete = \"update_wins\"\nretention = \"1h\"");
    log.put(1, 1, json!({"a": 1}));
    let deleted_at = log.now;
    log.delete(1, 2);
    log.now = deleted_at + HOUR_MS;
    log.put(2, 2, json!({"b": 1}));
    assert_eq!(log.shown(), json!({"a": 1, "b": 1}), "the retention is not over at its last millisecond");
    let deleted_at = log.now;
    log.delete(1, 4);
    log.now = deleted_at + HOUR_MS + 1;
    let lost = log.put(2, 4, json!({"c": 1}));
    assert_eq!(
        (log.conflicts(), log.verdict(lost)),
        (
            vec![
                "4. update_wins automatic: 4 beats 3=deleted".to_owned(),
                "6.c retention automatic: 5=deleted beats 6=1".to_owned()
            ],
            "superseded"
        )
    );
    log.put(2, 5, json!({"d": 1}));
    assert_eq!(log.shown(), json!({"d": 1}));
}

#[test]
fn a_tombstone_that_was_touched_after_its_retention_has_lost_its_fields() {
    let mut log = Script::new("on_delete = \"update_wins\"\nretention = \"1h\"");
    log.put(1, 1, json!({"a": 1}));
    log.delete(1, 2);
    log.now += 2 * HOUR_MS;
    log.delete(1, 2);
    log.put(2, 3, json!({"b": 1}));
    let undone = vec!["5. update_wins automatic: 5 beats 4=deleted".to_owned()];
    assert_eq!(
        (log.shown(), log.conflicts()),
        (json!({"b": 1}), undone),
        "the record is restored, and no kept field was left"
    );
}
