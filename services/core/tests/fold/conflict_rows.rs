//! Conflicts: every value that lost is in one (RULE-1), and one resolve restores it.

use tidelog_core::fold::{Contender, Content, Decision, Folder, Resolvers};
use tidelog_core::limits::CLOSED_CONFLICTS_MAX;
use tidelog_core::verdict::Verdict::{Applied, Conflict, Superseded};

use crate::story::{Log, RULES, conflict_in_words, two_writers};

#[test]
fn each_rule_writes_down_who_won_who_lost_and_why() {
    for (table, row) in [
        ("notes", "3.title last_write_wins automatic: 3 b over 2 a"),
        ("readings", "3.title last_write_wins automatic: 3 b over 2 a"),
        ("team", "3.title first_write_wins automatic: 2 a over 3 b"),
        ("forms", "3.title role_priority automatic: 3 b over 2 a"),
        ("plans", "3.title manual open: 2 a over 3 b"),
    ] {
        assert_eq!(two_writers(table).conflicts(3), [row], "{table}");
    }
}

#[test]
fn what_was_overwritten_knowingly_and_what_is_equal_is_no_loss() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "r", &[("title", "a")]);
    log.put("tablet", "notes", "r", &[("title", "b")]);
    log.put("watch", "notes", "r", &[("title", "b")]).base(1);
    assert_eq!((log.conflicts(3), log.conflicts(4), log.verdict(4)), (vec![], vec![], Applied));
}

#[test]
fn a_winning_delete_writes_a_conflict_for_each_field_that_it_did_not_know_of() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "r", &[("title", "a"), ("body", "a")]);
    log.put("phone", "notes", "r", &[("title", "b")]);
    log.delete("tablet", "notes", "r").base(2);
    assert_eq!(log.conflicts(4), ["4.title delete_wins automatic: 4 deleted over 3 b"]);
}

#[test]
fn an_automatic_loser_comes_back_by_one_resolve_whatever_its_base() {
    for (table, at_work) in [("notes", "2 a"), ("team", "3 b"), ("forms", "2 a")] {
        let (_, value) = at_work.split_once(' ').unwrap();
        let mut log = two_writers(table);
        log.resolve("laptop", table, "r", "3.title", &[("title", value)]).base(1);
        assert_eq!((log.shows(table, "r"), log.verdict(4)), (format!("title={value}@4"), Applied), "{table}");
        assert_eq!((log.closed(4), log.conflicts(4)), (vec!["3.title resolved".to_owned()], vec![]), "{table}");
    }
}

#[test]
fn what_a_delete_took_and_a_put_that_came_too_late_come_back_by_one_resolve() {
    let mut log = Log::under(RULES);
    log.put("phone", "notes", "r", &[("title", "a")]);
    log.delete("tablet", "notes", "r").base(1);
    log.resolve("phone", "notes", "r", "3.title", &[("title", "a")]).base(2);
    assert_eq!((log.shows("notes", "r").as_str(), log.closed(4)), ("title=a@4", vec!["3.title resolved".to_owned()]));

    let mut log = Log::under(RULES);
    log.put("phone", "notes", "r", &[("title", "a")]);
    log.delete("phone", "notes", "r");
    log.put("tablet", "notes", "r", &[("title", "b")]).base(2);
    log.resolve("tablet", "notes", "r", "4.title", &[("title", "b")]).base(2);
    assert_eq!((log.shows("notes", "r").as_str(), log.closed(5)), ("title=b@5", vec!["4.title resolved".to_owned()]));
}

#[test]
fn a_resolve_of_a_settled_conflict_loses_and_what_it_wanted_is_in_conflicts() {
    let mut log = two_writers("plans");
    log.resolve("phone", "plans", "r", "3.title", &[("title", "c")]);
    log.resolve("tablet", "plans", "r", "3.title", &[("title", "d"), ("color", "red")]).base(3);
    assert_eq!((log.shows("plans", "r").as_str(), log.verdict(5)), ("title=c@4", Superseded));
    assert_eq!(
        log.conflicts(5),
        ["5.color resolved automatic: nothing over 5 red", "5.title resolved automatic: 4 c over 5 d"]
    );
    log.resolve("tablet", "plans", "r", "3.title", &[("title", "c")]);
    assert_eq!((log.verdict(6), log.conflicts(6)), (Superseded, vec![]), "it wanted the value in force");
    log.resolve_by_delete("tablet", "plans", "r", "3.title");
    assert_eq!(
        (log.verdict(7), log.conflicts(7)),
        (Superseded, vec!["7. resolved automatic: nothing over 7 deleted".into()])
    );
    log.resolve("phone", "plans", "r", "5.title", &[("title", "d")]);
    assert_eq!(
        (log.shows("plans", "r").as_str(), log.verdict(8)),
        ("title=d@8", Applied),
        "and is restored through its own conflict"
    );
}

#[test]
fn a_record_remembers_its_newest_conflicts_and_a_resolve_of_an_older_one_is_a_plain_put() {
    let mut log = two_writers("notes");
    for number in 0..CLOSED_CONFLICTS_MAX {
        log.put(["phone", "tablet"][number % 2], "notes", "r", &[("title", &number.to_string())]).base(1);
    }
    let last = log.events.len() as i64;
    log.resolve("laptop", "notes", "r", "3.title", &[("title", "a")]);
    assert_eq!((log.verdict(last + 1), log.closed(last + 1)), (Applied, vec![]), "forgotten");
    log.resolve("laptop", "notes", "r", "4.title", &[("title", "b")]);
    assert_eq!(log.closed(last + 2), ["4.title resolved"]);
}

#[test]
fn a_custom_rule_decides_by_what_the_embedding_program_registered() {
    let catalog = "roles = [\"staff\"]\n[tables.notes]\nrule = \"custom\"\nname = \"longest\"";
    let length = |side: Contender<'_>| side.value().map_or(0, |value| serde_json::to_string(value).unwrap().len());
    let longest = move |op: Contender<'_>, stored: Contender<'_>| match length(op).cmp(&length(stored)) {
        std::cmp::Ordering::Greater => Decision::OpWins,
        std::cmp::Ordering::Equal => Decision::PersonChooses,
        std::cmp::Ordering::Less => Decision::StoredStays,
    };
    for (value, verdict, row) in [
        ("abc", Applied, "3.title custom automatic: 3 abc over 2 aa"),
        ("bb", Conflict, "3.title custom open: 2 aa over 3 bb"),
        ("b", Superseded, "3.title custom automatic: 2 aa over 3 b"),
    ] {
        let mut log = Log::under(catalog);
        log.put("phone", "notes", "r", &[("title", "aa")]);
        log.put("tablet", "notes", "r", &[("title", value)]).base(1);
        let mut folder = Folder::with_resolvers(Resolvers::none().with("longest", longest));
        let outcome = log.events.iter().map(|event| folder.fold(event).unwrap()).last().unwrap();
        assert_eq!((outcome.verdict, conflict_in_words(&outcome.conflicts[0]).as_str()), (verdict, row));
    }
}

/// A resolver by which a delete loses to everything, and a value to whatever does not give the field.
fn told(op: Contender<'_>, stored: Contender<'_>) -> Decision {
    match (op.content, stored.content) {
        (Content::NotGiven, Content::Deleted) => Decision::OpWins,
        (Content::Deleted, Content::Value(_)) => Decision::StoredStays,
        (Content::NotGiven, Content::Value(_)) => Decision::PersonChooses,
        _ => Decision::OpWins,
    }
}

#[test]
fn a_custom_rule_is_told_a_delete_from_a_field_that_is_not_given() {
    let catalog = "roles = [\"staff\"]\n[tables.notes]\nrule = \"custom\"\nname = \"told\"\non_delete = \"rule\"
        [tables.whole]\nrule = \"custom\"\nname = \"told\"\ngranularity = \"record\"";
    let mut log = Log::under(catalog);
    log.put("phone", "notes", "r", &[("title", "a")]);
    log.delete("tablet", "notes", "r").base(1);
    log.delete("tablet", "notes", "r");
    log.put("watch", "notes", "r", &[("title", "b")]).base(3);
    log.put("phone", "whole", "r", &[("title", "a")]);
    log.put("tablet", "whole", "r", &[("body", "b")]).base(1);
    let mut folder = Folder::with_resolvers(Resolvers::none().with("told", told));
    let verdicts: Vec<_> = log.events.iter().map(|event| folder.fold(event).unwrap().verdict).skip(1).collect();
    assert_eq!(verdicts, [Applied, Superseded, Applied, Applied, Applied, Conflict]);
}

#[test]
fn a_delete_that_comes_too_late_for_its_conflict_makes_no_row_where_the_record_is_deleted() {
    let mut log = two_writers("plans");
    log.resolve("laptop", "plans", "r", "3.title", &[("title", "c")]);
    log.delete("laptop", "plans", "r");
    log.resolve_by_delete("watch", "plans", "r", "3.title").base(3);
    assert_eq!((log.verdict(6), log.conflicts(6)), (Superseded, vec![]));
    log.resolve("watch", "plans", "r", "3.title", &[("title", "d")]).base(3);
    assert_eq!(log.conflicts(7), ["7.title resolved automatic: 5 deleted over 7 d"]);
}
