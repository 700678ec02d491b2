//! What else a log does to records: versions, rejected events, ops of the server, and new catalogs.

use tidelog_core::fold::FoldError;
use tidelog_core::ids::Position;
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Intent;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict::{Applied, Rejected, Superseded};

use crate::story::{Log, RULES, SERVER, Then, two_writers};

#[test]
fn the_version_moves_with_what_a_reader_sees_and_touched_with_every_event() {
    let mut log = Log::under(RULES);
    let mut version = 0;
    let rows: [(&str, Then, bool); 11] = [
        ("a new record", |log| log.put("phone", "plans", "r", &[("title", "a")]), true),
        ("the same value", |log| log.put("phone", "plans", "r", &[("title", "a")]), false),
        ("no field", |log| log.put("phone", "plans", "r", &[]), false),
        ("a conflict", |log| log.put("tablet", "plans", "r", &[("title", "b")]).base(1), false),
        ("a resolve for it", |log| log.resolve("phone", "plans", "r", "5.title", &[("title", "a")]), false),
        ("another value", |log| log.put("phone", "plans", "r", &[("title", "c")]), true),
        (
            "a new field",
            |log| log.append("phone", "plans", "r", Intent::Put(Fields::from_iter([("new", Value::Null)]))),
            true,
        ),
        ("a delete", |log| log.delete("phone", "plans", "r"), true),
        ("another delete", |log| log.delete("phone", "plans", "r"), false),
        ("a put that loses to it", |log| log.put("tablet", "plans", "r", &[("title", "d")]).base(1), false),
        ("its return", |log| log.put("phone", "plans", "r", &[]), true),
    ];
    for (what, then, is_seen) in rows {
        then(&mut log);
        let here = log.events.last().unwrap();
        version = if is_seen { here.position.0 } else { version };
        let record = log.record("plans", "r").unwrap();
        assert_eq!((record.version.0, record.touched), (version, here.position), "{what}");
        assert_eq!(record.updated_at.0, version * 1_000, "{what}");
    }
}

#[test]
fn a_rejected_event_has_no_effect() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "n", &[("title", "a")]);
    let before = log.record("notes", "n");
    log.put("phone", "notes", "n", &[("title", "b")]).rejected(RejectCode::FieldType);
    log.delete("phone", "notes", "n").rejected(RejectCode::RoleForbidden);
    log.put("phone", "unknown", "n", &[("title", "b")]).rejected(RejectCode::TableUnknown);
    assert!((3..=5).all(|position| log.verdict(position) == Rejected && log.lost(position).is_empty()));
    assert_eq!(log.record("notes", "n"), before);
    assert_eq!(log.try_fold().unwrap().0.records().count(), 1);
}

#[test]
fn ops_of_the_server_count_as_of_different_devices() {
    let mut log = Log::under(RULES);
    log.put(SERVER, "team", "r", &[("title", "a")]).base(1);
    log.put(SERVER, "team", "r", &[("title", "b")]).base(1);
    assert_eq!((log.shows("team", "r").as_str(), log.verdict(3)), ("title=a@2", Superseded));
    log.delete(SERVER, "team", "r");
    log.put(SERVER, "team", "r", &[("title", "c")]).base(3);
    assert_eq!((log.shows("team", "r").as_str(), log.verdict(5)), ("deleted", Superseded));
    log.put("phone", "forms", "r", &[("title", "a")]).role("staff");
    log.put(SERVER, "forms", "r", &[("title", "b")]).base(5);
    assert_eq!(log.shows("forms", "r"), "title=a@6", "its empty role is not listed");
}

#[test]
fn a_new_catalog_judges_what_comes_after_it_and_never_the_past() {
    let mut log = two_writers("notes");
    log.catalog(2, &RULES.replace("[tables.notes]", "[tables.notes]\nrule = \"first_write_wins\""));
    assert_eq!((log.shows("notes", "r").as_str(), log.verdict(3)), ("title=b@3", Applied));
    log.put("laptop", "notes", "r", &[("title", "c")]).base(1);
    assert_eq!((log.shows("notes", "r").as_str(), log.verdict(5)), ("title=b@3", Superseded));
    log.catalog(3, RULES);
    log.put("laptop", "notes", "r", &[("title", "c")]).base(1);
    assert_eq!((log.shows("notes", "r").as_str(), log.verdict(5), log.verdict(7)), ("title=c@7", Superseded, Applied));
    assert_eq!(log.try_fold().unwrap().0.records().count(), 1, "a catalog is no record");

    let mut log = Log::under(RULES);
    log.put("phone", "readings", "r", &[("title", "a")]).at(30_000);
    log.catalog(2, &RULES.replacen("[tables", "clock_skew_s = 0\n[tables", 1));
    log.put("tablet", "readings", "r", &[("title", "b")]).base(1).at(29_999);
    assert_eq!(log.shows("readings", "r"), "title=a@2", "an effective time is computed once, when the event is folded");

    let mut log = two_writers("plans");
    log.catalog(2, &RULES.replace("rule = \"manual\"", "rule = \"first_write_wins\""));
    assert_eq!(log.open("plans", "r"), ["3.title: 2 won, 3 lost"], "an open conflict stays one");
}

#[test]
fn a_log_that_no_append_writes_is_an_error_with_its_position() {
    let mut without_catalog = Log { events: vec![] };
    without_catalog.put("phone", "notes", "n", &[]);
    assert!(matches!(without_catalog.try_fold(), Err(FoldError::NoCatalog(Position(1)))));

    let mut without_table = Log::under(RULES);
    without_table.put("phone", "unknown", "n", &[]);
    assert!(matches!(without_table.try_fold(), Err(FoldError::NoCatalog(Position(2)))));

    let mut without_resolver = Log::under("roles = [\"staff\"]\n[tables.notes]\nrule = \"custom\"\nname = \"x\"");
    without_resolver.put("phone", "notes", "n", &[("count", "1")]);
    without_resolver.put("tablet", "notes", "n", &[("count", "1")]).base(1);
    assert!(matches!(without_resolver.try_fold(), Err(FoldError::ResolverMissing(Position(1)))));

    let mut unreadable = Log::under(RULES);
    unreadable.put(SERVER, "_catalog", "catalog", &[("version", "two")]);
    assert!(matches!(unreadable.try_fold(), Err(FoldError::Catalog { position: Position(2), .. })));
}
