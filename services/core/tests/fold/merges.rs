//! `sum` and `union`: every put that passes the delete test is a contribution.

use proptest::prelude::*;
use tidelog_core::limits::CONTRIBUTORS_MAX;
use tidelog_core::value::Value;
use tidelog_core::verdict::Verdict::{Applied, Superseded};

use crate::story::{Log, MORE_RULES, SERVER};

fn value(log: &Log, table: &str, field: &str) -> Value {
    log.record(table, "r").unwrap().plain().0[field].clone()
}

fn total(log: &Log) -> Value {
    value(log, "counts", "total")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sums(given: &[&str]) -> Log {
    let mut log = Log::under(MORE_RULES);
    for (number, given) in given.iter().enumerate() {
        // Every other op knew of no earlier one.
        let base = if number % 2 == 0 { 1 } else { number as i64 + 1 };
        log.put_json(["phone", "tablet"][number % 2], "counts", "r", &format!("{{\"total\": {given}}}")).base(base);
    }
    log
}

#[test]
fn a_sum_adds_whatever_comes_and_nobody_loses() {
    let log = sums(&["5", "-2", "10"]);
    assert_eq!(total(&log), Value::Int(13));
    for position in 2..=4 {
        assert_eq!((log.verdict(position), log.conflicts(position)), (Applied, vec![]));
    }
    assert_eq!(total(&sums(&["null"])), Value::Int(0), "null contributes nothing");
    assert_eq!(total(&sums(&["4", "null"])), Value::Int(4));
}

#[test]
fn a_sum_beyond_64_bits_is_shown_clamped_and_kept_exactly() {
    let most = i64::MAX.to_string();
    assert_eq!(total(&sums(&[&most, &most])), Value::Int(i64::MAX));
    assert_eq!(total(&sums(&[&most, &most, "-1", &format!("-{most}")])), Value::Int(i64::MAX - 1));
    let least = i64::MIN.to_string();
    assert_eq!(total(&sums(&[&least, &least, "7"])), Value::Int(i64::MIN));
    assert_eq!(total(&sums(&[&least, &least, &most, &most, "3"])), Value::Int(1));
}

#[test]
fn a_union_has_each_element_once_by_type_and_in_order_of_arrival() {
    let mut log = Log::under(MORE_RULES);
    log.put_json("phone", "counts", "r", r#"{"tags": ["b", 1, "b"]}"#);
    log.put_json("tablet", "counts", "r", r#"{"tags": ["a", 1.0, "b", {"x": 1, "y": [2]}]}"#).base(1);
    log.put_json("phone", "counts", "r", r#"{"tags": [{"y": [2], "x": 1}, null, "1"]}"#).base(1);
    log.put_json("phone", "counts", "r", r#"{"tags": null}"#);
    assert_eq!(value(&log, "counts", "tags"), json(r#"["b", 1, "a", 1.0, {"x": 1, "y": [2]}, null, "1"]"#));
    assert_eq!((log.verdict(3), log.conflicts(3)), (Applied, vec![]));
    assert_eq!(log.record("counts", "r").unwrap().version.0, 4, "the last put changed nothing for readers");
}

#[test]
fn a_put_that_makes_a_union_too_long_loses_as_a_whole() {
    let mut log = Log::under(MORE_RULES);
    let numbers: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    log.put_json("phone", "counts", "r", &format!(r#"{{"tags": [{}]}}"#, numbers.join(",")));
    log.put_json("phone", "counts", "r", r#"{"tags": [1, 2, 3]}"#);
    assert_eq!(log.verdict(3), Applied, "the union has no new element");
    log.put_json("phone", "counts", "r", r#"{"tags": [10000], "total": 1}"#);
    assert_eq!((log.verdict(4), log.lost(4)), (Superseded, vec!["4.tags".to_owned(), "4.total".to_owned()]));
    let [tags, total] = log.conflicts(4).try_into().unwrap();
    assert!(tags.starts_with("4.tags limit automatic: 3 [0,1,2,"), "{tags:?}");
    assert_eq!(total, "4.total limit automatic: nothing over 4 1");
}

#[test]
fn after_a_re_creation_merges_start_from_the_given_value() {
    let mut log = Log::under(MORE_RULES);
    log.put_json("phone", "counts", "r", r#"{"total": 5, "tags": ["a"]}"#);
    log.delete("phone", "counts", "r");
    log.put_json("phone", "counts", "r", r#"{"total": 2}"#);
    assert_eq!(log.record("counts", "r").unwrap().plain(), serde_json::from_str(r#"{"total": 2}"#).unwrap());
    log.put_json("tablet", "counts", "r", r#"{"total": 9}"#).base(1);
    assert_eq!((log.verdict(5), total(&log)), (Superseded, Value::Int(2)), "it did not know of the delete");
}

#[test]
fn what_cannot_be_merged_is_decided_by_the_later_position() {
    let other = MORE_RULES.replace("fields.total = { merge = \"sum\" }\n    fields.tags", "fields.tags");
    let mut log = Log::under(&other);
    log.put("phone", "counts", "r", &[("total", "five")]);
    log.catalog(2, MORE_RULES);
    log.put_json("tablet", "counts", "r", r#"{"total": 5}"#).base(1);
    assert_eq!(
        (total(&log), log.conflicts(4)),
        (Value::Int(5), vec!["4.total last_write_wins automatic: 4 5 over 2 five".to_owned()])
    );
    log.put_json("phone", "counts", "r", r#"{"total": 6}"#).base(1);
    assert_eq!((total(&log), log.conflicts(5)), (Value::Int(11), vec![]), "from then on it is a sum");
}

#[test]
fn a_union_drops_the_duplicates_of_an_array_from_before_it_was_one() {
    let mut log = Log::under("roles = [\"staff\"]\n[tables.counts]");
    log.put_json("phone", "counts", "r", r#"{"tags": ["a", "b", "a", 1, 1.0, "b"]}"#);
    log.catalog(2, MORE_RULES);
    log.put_json("tablet", "counts", "r", r#"{"tags": ["b", "c"]}"#).base(1);
    assert_eq!(value(&log, "counts", "tags"), json(r#"["a", "b", 1, 1.0, "c"]"#));
    let record = log.record("counts", "r").unwrap();
    assert_eq!(record.weight, record.plain().weight());
}

#[test]
fn contributions_of_the_system_device_count_each() {
    let mut log = Log::under(&format!(
        "{MORE_RULES}[tables.ruled_counts]\nrule = \"role_priority\"\non_delete = \"rule\"\nfields.total = {{ merge = \"sum\" }}"
    ));
    log.put_json(SERVER, "ruled_counts", "r", r#"{"total": 1}"#).role("manager");
    log.put_json(SERVER, "ruled_counts", "r", r#"{"total": 2}"#).role("staff");
    let contributors = |log: &Log| log.record("ruled_counts", "r").unwrap().fields["total"].contributors().count();
    assert_eq!(contributors(&log), 2);
    log.delete("phone", "ruled_counts", "r").base(1);
    assert_eq!(log.verdict(4), Superseded, "the manager's still opposes it");
    log.put_json("phone", "ruled_counts", "r", r#"{"total": 2}"#);
    log.put_json("phone", "ruled_counts", "r", r#"{"total": 2}"#);
    assert_eq!(contributors(&log), 3);
}

#[test]
fn every_contributor_is_an_opponent_of_a_delete_that_did_not_know_of_it() {
    let mut log = Log::under(MORE_RULES);
    log.put_json("phone", "kept_counts", "r", r#"{"total": 1}"#);
    log.put_json("tablet", "kept_counts", "r", r#"{"total": 2}"#);
    log.put_json("watch", "kept_counts", "r", r#"{"total": 4}"#);
    // Watch knows two of the three contributions: its own, which is the newest, and that of phone.
    log.delete("watch", "kept_counts", "r").base(2);
    assert_eq!(
        (log.verdict(5), log.conflicts(5)),
        (Superseded, vec!["5. update_wins automatic: 3 over 5 deleted".into()])
    );
    assert_eq!(value(&log, "kept_counts", "total"), Value::Int(7));
}

#[test]
fn a_field_remembers_the_latest_contributors_each_device_once() {
    let mut log = Log::under(MORE_RULES);
    for round in 0..2 {
        for number in 0..100 {
            log.put_json(&format!("device {number:02}"), "kept_counts", "r", r#"{"total": 1}"#).base(round);
        }
    }
    let record = log.record("kept_counts", "r").unwrap();
    let contributors: Vec<_> = record.fields["total"].contributors().map(|writer| writer.position.0).collect();
    let latest: Vec<i64> = (2..=201).rev().take(CONTRIBUTORS_MAX).collect();
    assert_eq!((contributors, value(&log, "kept_counts", "total")), (latest, Value::Int(200)));
}

proptest! {
    /// The laws: a sum is exact in any order, and a union loses no element and has none twice.
    #[test]
    fn merges_depend_on_the_contributions_alone(
        given in prop::collection::vec((any::<i64>(), 0..8i64, 0..3usize), 1..30)
    ) {
        let mut log = Log::under(MORE_RULES);
        for (number, tag, device) in &given {
            let fields = format!(r#"{{"total": {number}, "tags": [{tag}]}}"#);
            log.put_json(["phone", "tablet", "watch"][*device], "counts", "r", &fields).base(*tag % 2);
        }
        let exact: i128 = given.iter().map(|(number, ..)| i128::from(*number)).sum();
        let shown = exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let mut tags: Vec<i64> = Vec::new();
        for (_, tag, _) in &given {
            if !tags.contains(tag) {
                tags.push(*tag);
            }
        }
        let tags = Value::Array(tags.into_iter().map(Value::Int).collect());
        prop_assert_eq!((total(&log), value(&log, "counts", "tags")), (Value::Int(shown), tags));
    }
}
