//! Puts: which write wins a field.

use tidelog_core::op::Intent;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict::{Applied, Conflict, Merged, Superseded};

use crate::story::{Log, RULES, TABLES};

#[test]
fn a_put_that_knew_of_the_writer_sets_the_field_whatever_the_rule() {
    for table in TABLES {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a")]).role("manager").at(9_000);
        log.put("tablet", table, "r", &[("title", "b")]).base(2).role("guest").at(0);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(3)), ("title=b@3", Applied), "{table}");
    }
}

#[test]
fn a_device_is_never_concurrent_with_itself() {
    for table in TABLES {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a")]).base(1).role("manager").at(9_000);
        log.put("phone", table, "r", &[("title", "b")]).base(1).role("guest").at(0);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(3)), ("title=b@3", Applied), "{table}");
    }
}

#[test]
fn the_rule_says_which_of_two_concurrent_puts_wins() {
    let (stays, wins) = (("title=a@2", Superseded), ("title=b@3", Applied));
    // The table, then role and clock of the writer (event 2, stored at 2,000 ms) and of the op (event 3, at 3,000 ms).
    for (table, (role, at), (op_role, op_at), expected) in [
        ("notes", ("manager", 9_000), ("guest", 0), wins),
        ("readings", ("guest", 1_000), ("manager", 999), stays),
        ("readings", ("manager", 1_000), ("guest", 1_000), wins), // a tie goes to the later position
        ("readings", ("manager", 1_000), ("guest", 1_001), wins),
        ("team", ("guest", 9_000), ("manager", 0), stays),
        ("forms", ("staff", 9_000), ("manager", 0), wins),
        ("forms", ("manager", 0), ("staff", 9_000), stays),
        ("forms", ("staff", 9_000), ("staff", 0), wins), // equal roles: the later position wins
        ("forms", ("staff", 0), ("guest", 9_000), stays), // an unlisted role comes last
        ("forms", ("guest", 0), ("staff", 0), wins),
        ("forms", ("guest", 9_000), ("visitor", 0), wins), // all unlisted roles are equal
        ("forms", ("visitor", 9_000), ("guest", 0), wins),
        ("plans", ("guest", 0), ("manager", 9_000), ("title=a@2", Conflict)),
    ] {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a")]).role(role).at(at);
        log.put("tablet", table, "r", &[("title", "b")]).base(1).role(op_role).at(op_at);
        let (shows, verdict) = expected;
        assert_eq!(
            (log.shows(table, "r").as_str(), log.verdict(3)),
            (shows, verdict),
            "{table} {role} {op_role} {op_at}"
        );
        assert_eq!(log.verdict(2), Applied, "a verdict never changes");
        assert_eq!(log.lost(3), if verdict == Applied { vec![] } else { vec!["3.title"] }, "{table}");
    }
}

#[test]
fn a_device_clock_counts_at_most_a_minute_ahead_of_the_server() {
    const TEN_YEARS: i64 = 315_360_000_000;
    // Event 2 is stored at 2,000 ms, so it counts as 62,000 at most; event 3 at 3,000, so as 63,000.
    for (at, op_at, shows) in [
        (62_000, 61_999, "title=a@2"),
        (62_000, 62_000, "title=b@3"),
        (62_001, 62_000, "title=b@3"),
        (TEN_YEARS, 61_999, "title=a@2"),
        (TEN_YEARS, 62_000, "title=b@3"),
        (TEN_YEARS, TEN_YEARS, "title=b@3"),
        (i64::MAX, 62_000, "title=b@3"),
        (-TEN_YEARS, 0, "title=b@3"),
        (0, -TEN_YEARS, "title=a@2"),
    ] {
        let mut log = Log::under(RULES);
        log.put("phone", "readings", "r", &[("title", "a")]).at(at);
        log.put("tablet", "readings", "r", &[("title", "b")]).base(1).at(op_at);
        assert_eq!(log.shows("readings", "r"), shows, "{at} {op_at}");
    }
    let mut log = Log::under(&RULES.replacen("[tables", "clock_skew_s = 0\n[tables", 1));
    log.put("phone", "readings", "r", &[("title", "a")]).at(TEN_YEARS);
    log.put("tablet", "readings", "r", &[("title", "b")]).base(1).at(2_000);
    assert_eq!(log.shows("readings", "r"), "title=b@3", "the catalog sets the skew");
}

#[test]
fn an_equal_value_is_no_conflict_but_the_rule_says_whose_it_is_from_then_on() {
    for (table, shows, then) in [
        ("notes", "title=a@3", "title=c@4"),
        ("readings", "title=a@3", "title=c@4"),
        ("forms", "title=a@3", "title=c@4"),
        ("team", "title=a@2", "title=c@4"), // laptop knew of 2, which is still the writer
        ("plans", "title=a@2", "title=c@4"),
    ] {
        let mut log = Log::under(RULES);
        log.put("phone", table, "r", &[("title", "a")]);
        log.put("tablet", table, "r", &[("title", "a")]).base(1);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(3)), (shows, Applied), "{table}");
        assert_eq!((log.lost(3), log.open(table, "r")), (vec![], vec![]), "{table}");
        log.put("laptop", table, "r", &[("title", "c")]).base(2);
        assert_eq!((log.shows(table, "r").as_str(), log.verdict(4)), (then, Applied), "{table}");
    }
}

#[test]
fn equality_is_type_strict_and_takes_maps_as_unordered() {
    let map = |keys: [&str; 2]| Value::Map(keys.map(|key| (key.to_owned(), Value::Null)).into());
    for (stored, given, verdict) in [
        (Value::Int(1), Value::Float(1.0), Conflict),
        (Value::Int(1), Value::Text("1".into()), Conflict),
        (Value::Text("a".into()), Value::Binary(b"a".to_vec()), Conflict),
        (Value::Null, Value::Bool(false), Conflict),
        (Value::Int(1), Value::Int(1), Applied),
        (Value::Null, Value::Null, Applied),
        (map(["a", "b"]), map(["b", "a"]), Applied),
    ] {
        let mut log = Log::under(RULES);
        let put = |value| Intent::Put(Fields::from_iter([("title", value)]));
        log.append("phone", "plans", "r", put(stored.clone()));
        log.append("tablet", "plans", "r", put(given.clone())).base(1);
        assert_eq!(log.verdict(3), verdict, "{stored:?} {given:?}");
    }
}

#[test]
fn each_field_is_decided_by_itself_and_the_gravest_outcome_is_the_verdict() {
    for (given, shows, verdict, lost) in [
        (&[("color", "y")][..], "color=y@3 owner=x@2 title=x@2", Applied, &[][..]),
        (&[("owner", "y")], "color=x@2 owner=x@2 title=x@2", Superseded, &["3.owner"]),
        (&[("owner", "y"), ("new", "y")], "color=x@2 new=y@3 owner=x@2 title=x@2", Merged, &["3.owner"]),
        (&[("owner", "y"), ("color", "x")], "color=x@3 owner=x@2 title=x@2", Merged, &["3.owner"]),
        (&[("owner", "y"), ("title", "y")], "color=x@2 owner=x@2 title=x@2", Conflict, &["3.owner", "3.title"]),
        (&[("title", "y"), ("color", "y")], "color=y@3 owner=x@2 title=x@2", Conflict, &["3.title"]),
        (&[], "color=x@2 owner=x@2 title=x@2", Applied, &[]),
    ] {
        let mut log = Log::under(RULES);
        log.put("phone", "plans", "p", &[("title", "x"), ("color", "x"), ("owner", "x")]);
        log.put("tablet", "plans", "p", given).base(1);
        assert_eq!((log.shows("plans", "p").as_str(), log.verdict(3)), (shows, verdict), "{given:?}");
        let mut ids = log.lost(3);
        ids.sort();
        assert_eq!(ids, lost, "{given:?}");
    }
}

#[test]
fn a_put_without_fields_makes_the_record_exist_and_null_is_a_value() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "n", &[]);
    assert_eq!((log.shows("notes", "n").as_str(), log.verdict(2)), ("no fields", Applied));
    log.append("phone", "notes", "n", Intent::Put(Fields::from_iter([("title", Value::Null)])));
    assert_eq!(log.shows("notes", "n"), "title=Null@3");
}

#[test]
fn table_scope_and_id_together_are_the_record() {
    let mut log = Log::under(RULES);
    log.put("phone", "team", "r", &[("title", "a")]);
    log.put("tablet", "team", "r", &[("title", "b")]).base(1).scope("store-1");
    log.put("tablet", "team", "s", &[("title", "b")]).base(1);
    log.put("tablet", "plans", "r", &[("title", "b")]).base(1);
    assert!((2..=5).all(|position| log.verdict(position) == Applied));
    assert_eq!(log.try_fold().unwrap().0.records().count(), 4);
}
