//! Deletes under `delete_wins`.

use tidelog_core::ids::Position;
use tidelog_core::verdict::Verdict::{Applied, Superseded};

use crate::story::{Log, RULES, TABLES, two_writers};

#[test]
fn a_delete_beats_a_concurrent_put_in_either_order_and_whatever_the_tables_rule() {
    for table in TABLES {
        let mut put_first = two_writers(table);
        put_first.delete("laptop", table, "r").base(1).role("guest").at(0);
        assert_eq!((put_first.shows(table, "r").as_str(), put_first.verdict(4)), ("deleted", Applied), "{table}");

        let mut delete_first = Log::under(RULES);
        delete_first.put("phone", table, "r", &[("title", "a")]);
        delete_first.delete("laptop", table, "r").role("guest").at(0);
        delete_first.put("tablet", table, "r", &[("title", "b"), ("body", "b")]).base(2).role("manager").at(9_000);
        assert_eq!(
            (delete_first.shows(table, "r").as_str(), delete_first.verdict(4)),
            ("deleted", Superseded),
            "{table}"
        );
        assert_eq!(delete_first.lost(4), ["4.body", "4.title"], "{table}");
    }
}

#[test]
fn a_put_that_knew_of_the_delete_brings_the_record_back_with_its_own_fields_alone() {
    for table in TABLES {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a"), ("body", "a")]);
        log.delete("phone", table, "r");
        log.put("tablet", table, "r", &[("title", "b")]).base(3);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(4)), ("title=b@4", Applied), "{table}");
    }
    let mut log = Log::under(RULES);
    log.put("phone", "team", "r", &[("title", "a")]).base(1);
    log.put("tablet", "team", "r", &[("body", "a")]).base(1);
    log.delete("tablet", "team", "r").base(1);
    log.put("tablet", "team", "r", &[("title", "b")]).base(1);
    assert_eq!(
        log.shows("team", "r"),
        "title=b@5",
        "every device knows of its own delete, and the deleted field is gone"
    );
    log.delete("tablet", "team", "r");
    log.put("tablet", "team", "r", &[]);
    assert_eq!(log.shows("team", "r"), "no fields");
}

#[test]
fn a_put_concurrent_with_a_delete_loses_also_when_the_record_lives_again() {
    for table in TABLES {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a"), ("body", "a")]);
        log.delete("phone", table, "r");
        log.put("phone", table, "r", &[("title", "b")]);
        log.put("tablet", table, "r", &[("title", "c"), ("body", "c"), ("new", "c")]).base(2).role("manager");
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(5)), ("title=b@4", Superseded), "{table}");
        assert_eq!(log.lost(5), ["5.body", "5.new", "5.title"], "{table}");
        assert_eq!(log.open(table, "r"), Vec::<String>::new(), "no person is asked");
        log.put("tablet", table, "r", &[]).base(2);
        assert_eq!((log.verdict(6), log.lost(6)), (Superseded, vec![]), "{table}: also without fields");
    }
}

#[test]
fn a_delete_of_a_record_never_seen_leaves_a_tombstone() {
    let mut log = Log::under(RULES);
    log.delete("phone", "notes", "n").base(1);
    log.put("tablet", "notes", "n", &[("title", "a")]).base(1);
    assert_eq!((log.shows("notes", "n").as_str(), log.verdict(2), log.verdict(3)), ("deleted", Applied, Superseded));
    assert_eq!(log.record("notes", "n").unwrap().version, Position(2), "a reader sees it");
}

#[test]
fn deletes_do_not_judge_each_other_and_the_newest_is_the_one_to_know() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "n", &[("title", "a")]);
    log.delete("phone", "notes", "n");
    log.delete("tablet", "notes", "n").base(2);
    assert_eq!((log.verdict(3), log.verdict(4)), (Applied, Applied));
    log.put("laptop", "notes", "n", &[("title", "b")]).base(3);
    assert_eq!((log.shows("notes", "n").as_str(), log.verdict(5)), ("deleted", Superseded));
    log.put("laptop", "notes", "n", &[("title", "b")]).base(4);
    assert_eq!(log.shows("notes", "n"), "title=b@6");
}
