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
    log.delete(1, 2); // 4: it stands for 3, and the fields that 3 kept stay kept
    log.put(2, 1, json!({"b": 2, "f": 2}));
    let undone = "5. update_wins automatic: 5 beats 4=deleted";
    assert_eq!(log.conflicts(), [undone, "5.f first_write_wins automatic: 2=1 beats 5=2"]);
    assert_eq!((log.shown(), log.versions()), (json!({"a": 1, "b": 2, "f": 1}), (5, 5)));
    // No delete counts any more, as a catalog under which deletes win shows.
    log.catalog("", false);
    log.put(3, 2, json!({"c": 3}));
    assert_eq!((log.conflicts().len(), log.shown()), (2, json!({"a": 1, "b": 2, "c": 3, "f": 1})));
}

#[test]
fn a_put_has_to_beat_every_delete_that_it_does_not_know_of() {
    let mut log = Script::new("on_delete = \"rule\"\nrule = \"role_priority\"");
    log.roles = [(1, "manager"), (2, "clerk"), (3, "clerk")].into();
    log.put(1, 1, json!({"a": 1}));
    log.delete(1, 2); // 3, by a manager
    log.delete(2, 2); // 4, by a clerk
    let lost = log.put(3, 2, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["5.a role_priority automatic: 3=deleted beats 5=2"]);
    assert_eq!((log.shown(), log.verdict(lost)), (json!("deleted"), "superseded"));
    let knew_one = log.put(3, 3, json!({"b": 1}));
    assert_eq!((log.shown(), log.verdict(knew_one)), (json!({"b": 1}), "applied"), "the delete that it knew of holds");
    assert_eq!(log.conflicts()[1], "6. role_priority automatic: 6 beats 4=deleted");
    log.put(3, 2, json!({"b": 2}));
    assert_eq!(
        log.conflicts()[2],
        "7.b role_priority automatic: 3=deleted beats 7=2",
        "3 counts while the record lives"
    );
}

#[test]
fn a_put_that_beats_all_deletes_of_a_tombstone_undoes_them_at_once() {
    let mut log = Script::new("on_delete = \"update_wins\"");
    log.put(1, 1, json!({"a": 1}));
    log.delete(1, 2); // 3
    log.put(1, 3, json!({"b": 1})); // 4 brings the record back
    log.delete(1, 4); // 5
    log.delete(2, 4); // 6
    log.put(3, 4, json!({"c": 1}));
    assert_eq!(
        (log.shown(), log.conflicts()),
        (json!({"b": 1, "c": 1}), vec!["7. update_wins automatic: 7 beats 6=deleted".to_owned()])
    );
    // The delete of before the present life counts again.
    log.catalog("", false);
    log.put(3, 2, json!({"d": 1}));
    assert_eq!(log.shown(), json!({"b": 1, "c": 1}));
    assert_eq!(log.conflicts()[1], "9.d delete_wins automatic: 3=deleted beats 9=1");
}

#[test]
fn a_delete_stands_for_an_earlier_one_of_the_same_device_and_role_that_is_not_later_by_the_clock() {
    let restored = json!({"a": 1, "b": 1});
    for (skew, role, shown) in
        [(0, "manager", &restored), (-9_000, "manager", &json!({"b": 1})), (0, "guest", &json!({"b": 1}))]
    {
        let mut log = Script::new("on_delete = \"update_wins\"");
        log.roles = [(1, "manager")].into();
        log.put(2, 1, json!({"a": 1}));
        log.delete(1, 2); // 3
        log.skew = skew;
        log.roles.insert(1, role);
        log.delete(1, 2); // 4
        log.put(2, 3, json!({"b": 1}));
        assert_eq!(log.shown(), *shown, "whether it knew of a delete that counts: {skew} {role}");
    }
}

#[test]
fn of_65_deletes_the_oldest_is_forgotten_and_a_put_that_may_not_have_known_of_it_loses() {
    let mut log = Script::new("on_delete = \"rule\"");
    log.put(1, 1, json!({"a": 1}));
    for device in 1..=65 {
        log.delete(device, 2);
    }
    let lost = log.put(100, 2, json!({"b": 1}));
    assert_eq!(log.conflicts().last().unwrap(), "68.b limit automatic: nobody beats 68=1");
    assert_eq!((log.shown(), log.verdict(lost)), (json!("deleted"), "superseded"));
    let empty = log.put(100, 2, json!({}));
    assert_eq!((log.verdict(empty), log.conflicts().len()), ("superseded", 1));
    let knew = log.put(100, 3, json!({"b": 2}));
    assert_eq!(
        (log.shown(), log.verdict(knew)),
        (json!({"b": 2}), "applied"),
        "it knew of the forgotten one, which holds"
    );
}

#[test]
fn manual_a_put_without_fields_on_a_tombstone_asks_a_person() {
    let mut log = Script::new("on_delete = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    log.delete(1, 2);
    let asks = log.put(2, 2, json!({}));
    assert_eq!(
        (log.conflicts(), log.verdict(asks)),
        (vec!["4. manual open: 3=deleted beats 4".to_owned()], "conflict")
    );
    log.put(1, 4, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["4. manual open: 3=deleted beats 4"], "a put overtakes no conflict of no field");
    let lives = log.put(2, 2, json!({}));
    assert_eq!((log.verdict(lives), log.conflicts().len()), ("superseded", 1), "the record lives");
    log.delete(3, 6);
    assert_eq!(log.conflicts(), ["4. manual overtaken by 7: 3=deleted beats 4"]);
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
