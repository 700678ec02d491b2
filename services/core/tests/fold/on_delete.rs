//! Deletes under `update_wins`, `rule` and `manual`, and how long a tombstone keeps its fields.

use tidelog_core::verdict::Verdict::{Applied, Conflict, Superseded};

use crate::story::{Log, MORE_RULES};

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Phone writes `a` (event 2) and deletes the record (event 3).
fn deleted(table: &str) -> Log {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", table, "r", &[("title", "a"), ("body", "a")]);
    log.delete("phone", table, "r");
    log
}

/// Phone writes `a` (event 2). Tablet has not read it and deletes the record (event 3).
fn deleted_unread(table: &str) -> Log {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", table, "r", &[("title", "a"), ("body", "a")]);
    log.delete("tablet", table, "r").base(1);
    log
}

#[test]
fn under_update_wins_a_delete_loses_to_what_it_did_not_know_of() {
    let log = deleted_unread("kept");
    assert_eq!((log.shows("kept", "r").as_str(), log.verdict(3)), ("body=a@2 title=a@2", Superseded));
    assert_eq!(log.conflicts(3), ["3. update_wins automatic: 2 over 3 deleted"]);
}

#[test]
fn under_update_wins_a_put_that_did_not_know_of_the_delete_undoes_it() {
    let mut log = deleted("kept");
    assert_eq!(log.shows("kept", "r"), "deleted");
    log.put("tablet", "kept", "r", &[("title", "b")]).base(2);
    assert_eq!((log.shows("kept", "r").as_str(), log.verdict(4)), ("body=a@2 title=b@4", Applied));
    assert_eq!(log.conflicts(4), ["4. update_wins automatic: 4 over 3 deleted"], "it knew the value that it overwrote");
    assert_eq!(log.record("kept", "r").unwrap().deletes.newest(), None);

    let mut log = deleted("kept");
    log.put("tablet", "kept", "r", &[("title", "b")]).base(1);
    let rows = ["4. update_wins automatic: 4 over 3 deleted", "4.title last_write_wins automatic: 4 b over 2 a"];
    assert_eq!(log.conflicts(4), rows, "fields come back with their writers");
    log.resolve_by_delete("phone", "kept", "r", "4.");
    assert_eq!((log.shows("kept", "r").as_str(), log.closed(5)), ("deleted", vec!["4. resolved".to_owned()]));
}

#[test]
fn a_delete_that_is_undone_makes_the_one_before_the_last_again() {
    let mut log = deleted("kept");
    log.put("phone", "kept", "r", &[("title", "b")]);
    log.delete("phone", "kept", "r");
    log.put("tablet", "kept", "r", &[("body", "c")]).base(4);
    assert_eq!(log.shows("kept", "r"), "body=c@6 title=b@4");
    assert_eq!(log.record("kept", "r").unwrap().deletes.newest().unwrap().writer.position.0, 3);
    // The record lives again, so a put that is concurrent with the earlier delete passes too, and restores nothing.
    log.put("watch", "kept", "r", &[("x", "d")]).base(2);
    assert_eq!((log.shows("kept", "r").as_str(), log.verdict(7)), ("body=c@6 title=b@4 x=d@7", Applied));
}

#[test]
fn a_later_delete_of_a_tombstone_keeps_what_the_earlier_kept() {
    let mut log = deleted("kept");
    log.delete("watch", "kept", "r");
    let mut knew_one = log.clone();
    log.put("tablet", "kept", "r", &[("title", "b")]).base(2);
    assert_eq!(log.shows("kept", "r"), "body=a@2 title=b@5");
    assert_eq!(log.conflicts(5), ["5. update_wins automatic: 5 over 4 deleted"]);
    assert_eq!(log.record("kept", "r").unwrap().deletes.newest(), None);

    knew_one.put("tablet", "kept", "r", &[("title", "b")]).base(3);
    assert_eq!(knew_one.shows("kept", "r"), "title=b@5", "the delete that the put knew of holds");
    assert_eq!(knew_one.conflicts(5), ["5. update_wins automatic: 5 over 4 deleted"]);
    assert_eq!(knew_one.record("kept", "r").unwrap().deletes.newest().unwrap().writer.position.0, 3);
}

#[test]
fn a_put_that_knew_of_the_delete_starts_with_its_own_fields_whatever_the_tombstone_keeps() {
    for table in ["kept", "ruled", "asked"] {
        let mut log = deleted(table);
        log.put("tablet", table, "r", &[("title", "b")]);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(4)), ("title=b@4", Applied), "{table}");
    }
}

#[test]
fn a_tombstone_keeps_its_fields_for_its_retention_by_event_times() {
    let at_most = 3_000 + HOUR_MS;
    let mut log = deleted("kept");
    log.put("tablet", "kept", "r", &[("title", "b")]).base(2).received_at(at_most);
    assert_eq!(log.shows("kept", "r"), "body=a@2 title=b@4");

    let mut log = deleted("kept");
    log.put("tablet", "kept", "r", &[("title", "b")]).base(2).received_at(at_most + 1);
    assert_eq!((log.shows("kept", "r").as_str(), log.verdict(4)), ("deleted", Superseded));
    assert_eq!(log.conflicts(4), ["4.title retention automatic: 3 deleted over 4 b"]);
    let stub = log.record("kept", "r").unwrap();
    assert!(stub.fields.is_empty() && stub.deletes.newest().is_some(), "what is left is a stub: {stub:?}");
    log.put("phone", "kept", "r", &[("title", "c")]).received_at(at_most + 2);
    assert_eq!(log.shows("kept", "r"), "title=c@5", "a put that knew of the delete still brings it back");
}

/// Physical removal is invisible: later events have the same result, whether or not an event touched the tombstone in
/// between.
#[test]
fn a_tombstone_that_was_touched_late_equals_one_that_was_never_touched() {
    let late = 3_000 + HOUR_MS + 1;
    let mut touched = deleted("kept");
    touched.delete("watch", "kept", "r").received_at(late);
    touched.put("tablet", "kept", "r", &[("title", "b")]).base(3).received_at(late + 1);
    assert_eq!(touched.shows("kept", "r"), "title=b@5", "the second delete found no field to keep");
}

#[test]
fn under_rule_a_delete_is_a_write_that_has_to_beat_every_opponent() {
    for (role, shown, verdict) in [("manager", "deleted", Applied), ("staff", "body=b@3 title=a@2", Superseded)] {
        let mut log = Log::under(MORE_RULES);
        log.put("phone", "ruled", "r", &[("title", "a")]);
        log.put("laptop", "ruled", "r", &[("body", "b")]).role("manager");
        log.delete("tablet", "ruled", "r").base(1).role(role);
        assert_eq!((log.shows("ruled", "r").as_str(), log.verdict(4)), (shown, verdict), "{role}");
        let expected = match role {
            "manager" => vec![
                "4.body role_priority automatic: 4 deleted over 3 b",
                "4.title role_priority automatic: 4 deleted over 2 a",
            ],
            _ => vec!["4. role_priority automatic: 3 over 4 deleted"],
        };
        assert_eq!(log.conflicts(4), expected, "{role}");
    }
}

#[test]
fn under_rule_a_put_has_to_beat_the_delete() {
    for (role, shown, verdict) in [("manager", "body=a@2 title=b@4", Applied), ("staff", "deleted", Superseded)] {
        let mut log = Log::under(MORE_RULES);
        log.put("phone", "ruled", "r", &[("title", "a"), ("body", "a")]);
        log.delete("phone", "ruled", "r").role("manager");
        log.put("tablet", "ruled", "r", &[("title", "b")]).base(2).role(role);
        assert_eq!((log.shows("ruled", "r").as_str(), log.verdict(4)), (shown, verdict), "{role}");
    }
}

#[test]
fn under_manual_the_record_stays_as_it_is_and_a_person_is_asked() {
    for (table, rule) in [("asked", "manual"), ("ruled_manual", "manual")] {
        let mut log = deleted_unread(table);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(3)), ("body=a@2 title=a@2", Conflict), "{table}");
        assert_eq!(log.conflicts(3), [format!("3. {rule} open: 2 over 3 deleted")]);
        log.resolve_by_delete("laptop", table, "r", "3.").base(1);
        assert_eq!((log.shows(table, "r").as_str(), log.closed(4)), ("deleted", vec!["3. resolved".to_owned()]));

        let mut log = deleted(table);
        log.put("tablet", table, "r", &[("title", "b")]).base(2);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(4)), ("deleted", Conflict), "{table}");
        assert_eq!(log.conflicts(4), [format!("4.title {rule} open: 3 deleted over 4 b")]);
        log.resolve("laptop", table, "r", "4.title", &[("title", "b")]).base(1);
        assert_eq!((log.shows(table, "r").as_str(), log.closed(5)), ("title=b@5", vec!["4.title resolved".to_owned()]));
    }
}

#[test]
fn a_lost_delete_is_overtaken_by_a_delete_alone() {
    let mut log = deleted_unread("asked");
    log.put("laptop", "asked", "r", &[("title", "c")]);
    assert_eq!(log.open("asked", "r"), ["3.: 2 won, 3 lost"]);
    log.delete("laptop", "asked", "r");
    assert_eq!((log.open("asked", "r"), log.closed(5)), (vec![], vec!["3. overtaken".to_owned()]));
}

/// Under `on_delete = "rule"` a weaker delete after a stronger one does not open the tombstone to weak puts.
#[test]
fn a_put_is_judged_by_every_delete_that_it_did_not_know_of() {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", "ruled", "r", &[("title", "a")]);
    log.delete("laptop", "ruled", "r").role("manager");
    log.delete("watch", "ruled", "r");
    let mut manager = log.clone();
    log.put("tablet", "ruled", "r", &[("title", "b")]).base(2);
    assert_eq!((log.shows("ruled", "r").as_str(), log.verdict(5)), ("deleted", Superseded));
    assert_eq!(log.conflicts(5), ["5.title role_priority automatic: 3 deleted over 5 b"], "staff's beats it not");
    manager.put("tablet", "ruled", "r", &[("title", "b")]).base(2).role("manager");
    assert_eq!(manager.shows("ruled", "r"), "title=b@5");
    assert_eq!(manager.conflicts(5), ["5. role_priority automatic: 5 over 4 deleted"]);

    // Also after somebody who knew of both has brought the record back.
    log.put("phone", "ruled", "r", &[("title", "c")]);
    log.put("tablet", "ruled", "r", &[("body", "d")]).base(2);
    assert_eq!((log.shows("ruled", "r").as_str(), log.verdict(7)), ("title=c@6", Superseded));
}

#[test]
fn a_delete_stands_for_an_earlier_one_by_the_same_device_in_the_same_role() {
    let deletes = |log: &Log| log.record("kept", "r").unwrap().deletes.kept.len();
    let mut log = deleted("kept");
    log.delete("phone", "kept", "r");
    assert_eq!(deletes(&log), 1);
    log.delete("phone", "kept", "r").at(0);
    assert_eq!(deletes(&log), 2, "its effective time is earlier");
    log.delete("phone", "kept", "r").role("manager");
    assert_eq!(deletes(&log), 3);
    log.delete("watch", "kept", "r").role("manager");
    assert_eq!(deletes(&log), 4);
}

#[test]
fn of_65_deletes_the_oldest_is_lost_and_a_put_that_did_not_know_of_it_loses() {
    for (table, deletes, verdict) in [("ruled", 64, Applied), ("ruled", 65, Superseded), ("kept", 65, Applied)] {
        let mut log = deleted(table);
        for number in 1..deletes {
            log.delete(&format!("d{number}"), table, "r");
        }
        let put = log.events.len() as i64 + 1;
        log.put("tablet", table, "r", &[("title", "b")]).base(2).role("manager");
        assert_eq!(log.verdict(put), verdict, "{table}, {deletes} deletes");
        if verdict == Superseded {
            assert_eq!(log.conflicts(put), [format!("{put}.title limit automatic: nothing over {put} b")]);
            log.put("tablet", table, "r", &[]).base(2).role("manager");
            assert_eq!(log.conflicts(put + 1), Vec::<String>::new());
            log.put("tablet", table, "r", &[("title", "c")]).base(3).role("manager");
            assert_eq!((log.verdict(put + 2), log.shows(table, "r")), (Applied, format!("title=c@{}", put + 2)));
        }
    }
}

#[test]
fn a_put_without_fields_on_a_tombstone_asks_whether_the_record_comes_back() {
    let mut log = deleted("asked");
    log.put("tablet", "asked", "r", &[]).base(2);
    assert_eq!((log.shows("asked", "r").as_str(), log.verdict(4)), ("deleted", Conflict));
    assert_eq!(log.conflicts(4), ["4. manual open: 3 deleted over 4"]);
    let mut kept = log.clone();
    log.resolve("phone", "asked", "r", "4.", &[]);
    assert_eq!((log.shows("asked", "r").as_str(), log.closed(5)), ("no fields", vec!["4. resolved".to_owned()]));
    kept.put("phone", "asked", "r", &[]);
    assert_eq!(kept.open("asked", "r"), ["4.: 3 won, 4 lost"], "a put does not overtake it");
    kept.delete("phone", "asked", "r");
    assert_eq!(kept.closed(6), ["4. overtaken"]);

    let mut again = deleted("asked");
    again.put("phone", "asked", "r", &[("title", "b")]);
    again.put("tablet", "asked", "r", &[]).base(2);
    assert_eq!((again.verdict(5), again.conflicts(5)), (Superseded, vec![]), "the record lives already");
}
