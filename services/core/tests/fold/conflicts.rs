//! Manual conflicts: how they open, and what closes them. All of them are in one record, and the first is always
//! `3.title`: phone wrote `a` (event 2), and tablet, which did not know, wrote `b` (event 3).

use tidelog_core::verdict::Verdict::{Applied, Conflict, Superseded};

use crate::story::{LastEvent, Log, Then, two_writers};

const FIRST: &str = "3.title: 2 won, 3 lost";
const SECOND: &str = "4.title: 2 won, 4 lost";

impl Log {
    fn puts(&mut self, device: &str, field: &str, value: &str) -> LastEvent<'_> {
        self.put(device, "plans", "r", &[(field, value)])
    }

    fn deletes(&mut self, device: &str) -> LastEvent<'_> {
        self.delete(device, "plans", "r")
    }

    fn resolves(&mut self, device: &str, given: &[(&str, &str)]) -> LastEvent<'_> {
        self.resolve(device, "plans", "r", "3.title", given)
    }

    fn resolves_by_delete(&mut self, device: &str) -> LastEvent<'_> {
        self.resolve_by_delete(device, "plans", "r", "3.title")
    }
}

fn shows(log: &Log) -> String {
    log.shows("plans", "r")
}

fn open(log: &Log) -> Vec<String> {
    log.open("plans", "r")
}

#[test]
fn a_concurrent_put_under_manual_changes_nothing_and_opens_a_conflict() {
    let log = two_writers("plans");
    assert_eq!((shows(&log).as_str(), log.verdict(3), log.lost(3)), ("title=a@2", Conflict, vec!["3.title".into()]));
    assert_eq!(open(&log), [FIRST]);
}

#[test]
fn a_resolve_closes_its_conflict_whichever_fields_it_sets() {
    let rows: [(&str, Then, &str); 7] = [
        ("for the loser", |log| log.resolves("tablet", &[("title", "b")]), "title=b@4"),
        ("for the winner", |log| log.resolves("tablet", &[("title", "a")]), "title=a@4"),
        ("for a third value", |log| log.resolves("laptop", &[("title", "c")]), "title=c@4"),
        ("its two events do not count", |log| log.resolves("laptop", &[("title", "b")]).base(1), "title=b@4"),
        ("by another field", |log| log.resolves("phone", &[("color", "c")]), "color=c@4 title=a@2"),
        ("by no field", |log| log.resolves("phone", &[]), "title=a@2"),
        ("by a delete", |log| log.resolves_by_delete("laptop").base(1), "deleted"),
    ];
    for (what, then, expected) in rows {
        let mut log = two_writers("plans");
        then(&mut log);
        assert_eq!((shows(&log).as_str(), log.verdict(4)), (expected, Applied), "{what}");
        assert_eq!(open(&log), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn an_op_that_knew_both_events_overtakes_their_conflict_by_taking_the_field_or_deleting() {
    let rows: [(&str, Then, &str); 5] = [
        ("a put", |log| log.puts("laptop", "title", "c"), "title=c@4"),
        ("a put of the same value", |log| log.puts("laptop", "title", "a"), "title=a@4"),
        ("the loser, who has read the winner", |log| log.puts("tablet", "title", "c").base(2), "title=c@4"),
        ("a delete", |log| log.deletes("laptop"), "deleted"),
        ("a delete by the loser", |log| log.deletes("tablet").base(2), "deleted"),
    ];
    for (what, then, expected) in rows {
        let mut log = two_writers("plans");
        then(&mut log);
        assert_eq!((shows(&log).as_str(), log.verdict(4)), (expected, Applied), "{what}");
        assert_eq!(open(&log), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_conflict_stays_open_for_all_that_was_done_without_knowing_of_it() {
    let rows: [(&str, Then, &str); 6] = [
        ("another field", |log| log.puts("laptop", "color", "c"), "color=c@4 title=a@2"),
        ("the field, not knowing the loser", |log| log.puts("laptop", "title", "c").base(2), "title=c@4"),
        ("the winner goes on", |log| log.puts("phone", "title", "c").base(2), "title=c@4"),
        ("a delete, not knowing the loser", |log| log.deletes("laptop").base(2), "deleted"),
        ("a delete, knowing neither", |log| log.deletes("laptop").base(1), "deleted"),
        ("a delete by the loser, not knowing the winner", |log| log.deletes("tablet").base(1), "deleted"),
    ];
    for (what, then, expected) in rows {
        let mut log = two_writers("plans");
        then(&mut log);
        assert_eq!((shows(&log).as_str(), log.verdict(4)), (expected, Applied), "{what}");
        assert_eq!(open(&log), [FIRST], "{what}");
    }
}

#[test]
fn a_put_that_knew_neither_event_opens_a_conflict_of_its_own() {
    let rows: [(&str, Then); 3] = [
        ("by a third device", |log| log.puts("laptop", "title", "c").base(1)),
        ("by the loser", |log| log.puts("tablet", "title", "c").base(1)),
        ("a resolve of an unknown conflict is a plain put", |log| {
            log.resolve("laptop", "plans", "r", "2.title", &[("title", "c")]).base(1)
        }),
    ];
    for (what, then) in rows {
        let mut log = two_writers("plans");
        then(&mut log);
        assert_eq!((shows(&log).as_str(), log.verdict(4)), ("title=a@2", Conflict), "{what}");
        assert_eq!(open(&log), [FIRST, SECOND], "{what}");
    }
}

#[test]
fn a_resolve_settles_its_own_two_events_and_no_third() {
    let mut log = two_writers("plans");
    log.puts("watch", "title", "c").base(1);
    log.resolves("laptop", &[("title", "b")]).base(3);
    assert_eq!(shows(&log), "title=b@5");
    assert_eq!(open(&log), [SECOND], "laptop had not read what watch wrote");

    let mut log = two_writers("plans");
    log.puts("phone", "title", "c");
    log.resolves("laptop", &[("title", "b")]).base(3);
    assert_eq!(shows(&log), "title=c@4", "phone had overtaken the conflict");
    assert_eq!((log.verdict(5), log.lost(5), open(&log)), (Superseded, vec!["5.title".into()], vec![]));
}

#[test]
fn a_resolve_that_did_not_know_of_a_delete_loses_to_it() {
    let mut log = two_writers("plans");
    log.deletes("phone").base(2);
    log.resolves("laptop", &[("title", "b")]).base(3);
    assert_eq!((shows(&log).as_str(), log.verdict(5)), ("deleted", Superseded));
}

/// Watch names the conflict of phone and tablet, so the event of phone does not count as concurrent with the resolve,
/// and its own event never does. The other conflict is between just these two events, so it is overtaken.
#[test]
fn a_resolve_overtakes_other_conflicts_of_events_that_it_knew() {
    let rows: [(&str, Then); 2] = [
        ("by a delete", |log| log.resolves_by_delete("watch").base(1)),
        ("by a put of the field", |log| log.resolves("watch", &[("title", "d")]).base(1)),
    ];
    for (what, then) in rows {
        let mut log = two_writers("plans");
        log.puts("watch", "title", "c").base(1);
        assert_eq!(open(&log), [FIRST, SECOND]);
        then(&mut log);
        assert_eq!(open(&log), Vec::<String>::new(), "{what}");
    }
}
