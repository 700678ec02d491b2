//! Puts: which one wins, field by field and as a whole, and which values merge.

use serde_json::json;

use crate::script::Script;

#[test]
fn no_writer_or_not_concurrent_e_sets_the_field() {
    let mut log = Script::new("rule = \"first_write_wins\"");
    let first = log.put(1, 1, json!({"a": 1}));
    log.put(1, 1, json!({"a": 2})); // of the same device
    log.put(2, first + 1, json!({"a": 3, "b": null})); // knew the first one
    assert_eq!((log.shown(), log.conflicts()), (json!({"a": 3, "b": null}), vec![]));
}

#[test]
fn last_write_wins_by_server_the_later_position_so_e() {
    let mut log = Script::new("");
    log.put(1, 1, json!({"a": 1}));
    log.skew = -50_000;
    let last = log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["3.a last_write_wins automatic: 3=2 beats 2=1"]);
    assert_eq!((log.shown(), log.verdict(last)), (json!({"a": 2}), "applied"));
}

#[test]
fn last_write_wins_by_device_the_later_effective_time_a_tie_to_the_later_position() {
    let mut log = Script::new("clock = \"device\"");
    log.put(1, 1, json!({"a": 1}));
    log.skew = -1_001;
    let lost = log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["3.a last_write_wins automatic: 2=1 beats 3=2"]);
    assert_eq!((log.shown(), log.verdict(lost)), (json!({"a": 1}), "superseded"));
    log.skew = -2_000; // the time of event 2
    log.put(3, 1, json!({"a": 3}));
    assert_eq!(log.shown(), json!({"a": 3}));
}

#[test]
fn the_effective_time_is_at_most_received_at_and_the_skew() {
    let mut log = Script::new("clock = \"device\"");
    log.skew = 3_600_000;
    log.put(1, 1, json!({"a": 1}));
    log.now += 59_000 - 1; // one millisecond before the time to which the clock is cut
    log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.shown(), json!({"a": 1}));
    log.put(3, 1, json!({"a": 3}));
    assert_eq!(log.shown(), json!({"a": 3}));
}

#[test]
fn first_write_wins_what_is_stored_stays() {
    let mut log = Script::new("rule = \"first_write_wins\"");
    log.put(1, 1, json!({"a": 1}));
    let merged = log.put(2, 1, json!({"a": 2, "b": 2}));
    assert_eq!(log.conflicts(), ["3.a first_write_wins automatic: 2=1 beats 3=2"]);
    assert_eq!((log.shown(), log.verdict(merged)), (json!({"a": 1, "b": 2}), "merged"));
}

#[test]
fn role_priority_the_role_that_stands_first_unlisted_last_the_same_rank_the_later_position() {
    let mut log = Script::new("rule = \"role_priority\"\nroles = [\"clerk\", \"manager\"]");
    log.roles = [(1, "manager"), (2, "clerk"), (3, "guest"), (4, "clerk")].into();
    log.put(3, 1, json!({"a": "guest"}));
    log.put(0, 1, json!({"a": "system"}));
    assert_eq!(log.shown(), json!({"a": "system"}), "neither role is listed");
    log.put(1, 1, json!({"a": "manager"}));
    log.put(2, 1, json!({"a": "clerk"}));
    log.put(1, 1, json!({"a": "manager again"}));
    assert_eq!(log.shown(), json!({"a": "clerk"}));
    log.put(4, 1, json!({"a": "other clerk"}));
    assert_eq!(log.shown(), json!({"a": "other clerk"}));
}

#[test]
fn manual_w_and_the_conflict_stays_open() {
    let mut log = Script::new("rule = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    let asks = log.put(2, 1, json!({"a": 2, "b": 1}));
    assert_eq!(log.conflicts(), ["3.a manual open: 2=1 beats 3=2"]);
    assert_eq!((log.shown(), log.verdict(asks)), (json!({"a": 1, "b": 1}), "conflict"));
}

#[test]
fn custom_asks_the_resolver_by_its_name() {
    let mut log =
        Script::new("rule = \"custom\"\nname = \"larger\"\n[tables.t.fields.b]\nrule = \"custom\"\nname = \"asks\"");
    log.put(1, 1, json!({"a": 5, "b": 1}));
    log.put(2, 1, json!({"a": 4, "b": 2}));
    assert_eq!(log.conflicts(), ["3.a custom automatic: 2=5 beats 3=4", "3.b custom open: 2=1 beats 3=2"]);
}

#[test]
fn an_equal_value_counts_as_kept_but_the_rule_says_who_is_the_writer_from_then_on() {
    let mut log = Script::new("[tables.t.fields.f]\nrule = \"first_write_wins\"");
    log.put(1, 1, json!({"a": 1, "f": 1}));
    log.put(2, 1, json!({"a": 1, "f": 1}));
    assert_eq!((log.conflicts(), log.verdict(3)), (vec![], "applied"));
    // The op knew only the first event: it knows the writer of f, and not the writer of a.
    log.put(3, 2, json!({"a": 2, "f": 2}));
    assert_eq!(log.conflicts(), ["4.a last_write_wins automatic: 4=2 beats 3=1"]);
    assert_eq!(log.shown(), json!({"a": 2, "f": 2}));
}

#[test]
fn equality_is_type_strict() {
    let mut log = Script::new("");
    log.put(1, 1, json!({"a": 1}));
    log.put(2, 1, json!({"a": 1.0}));
    assert_eq!(log.conflicts(), ["3.a last_write_wins automatic: 3=1.0 beats 2=1"]);
}

#[test]
fn the_system_devices_ops_count_as_of_different_devices_among_themselves() {
    let mut log = Script::new("rule = \"first_write_wins\"");
    log.put(0, 1, json!({"a": 1}));
    log.put(0, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["3.a first_write_wins automatic: 2=1 beats 3=2"]);
}

#[test]
fn a_rejected_event_has_no_effect_and_does_not_touch() {
    let mut log = Script::new("");
    log.put(1, 1, json!({"a": 1}));
    let rejected = log.put(1, 1, json!({"a": 2}));
    log.reject_last();
    assert_eq!((log.shown(), log.verdict(rejected), log.versions()), (json!({"a": 1}), "rejected", (2, 2)));
}

#[test]
fn a_put_without_fields_makes_the_record_exist_and_version_is_what_a_reader_sees() {
    let mut log = Script::new("");
    assert_eq!(log.shown(), json!("none"));
    log.put(1, 1, json!({}));
    assert_eq!((log.shown(), log.versions()), (json!({}), (2, 2)));
    log.put(1, 1, json!({"a": 1}));
    log.put(1, 1, json!({"a": 1}));
    assert_eq!(log.versions(), (3, 4));
}

#[test]
fn the_rules_of_a_catalog_hold_from_its_position_on() {
    let mut log = Script::new("rule = \"first_write_wins\"");
    log.put(1, 1, json!({"a": 1}));
    log.put(2, 1, json!({"a": 2}));
    log.catalog("", false);
    log.put(2, 1, json!({"a": 3}));
    let rows = ["3.a first_write_wins automatic: 2=1 beats 3=2", "5.a last_write_wins automatic: 5=3 beats 2=1"];
    assert_eq!(log.conflicts(), rows);
}

#[test]
fn the_rules_of_a_refold_hold_from_position_1() {
    let mut log = Script::new("rule = \"first_write_wins\"");
    log.put(1, 1, json!({"a": 1}));
    log.put(2, 1, json!({"a": 2}));
    log.catalog("", true);
    assert_eq!(log.conflicts(), ["3.a last_write_wins automatic: 3=2 beats 2=1"]);
}

#[test]
fn a_table_that_a_refold_lacks_has_no_records_and_its_ops_no_effect() {
    let mut log = Script::new("rule = \"manual\"");
    let first = log.put(1, 1, json!({"a": 1}));
    let second = log.put(2, 1, json!({"a": 2}));
    log.catalog_of("[tables.other]", true);
    assert_eq!((log.shown(), log.conflicts()), (json!("none"), vec![]));
    assert_eq!((log.verdict(first), log.verdict(second)), ("applied", "applied"));
    // The table starts without records when a later catalog has it again.
    log.catalog("rule = \"first_write_wins\"", false);
    log.put(3, 0, json!({"b": 3}));
    assert_eq!((log.shown(), log.conflicts()), (json!({"b": 3}), vec![]));
}

#[test]
fn a_table_that_is_removed_keeps_its_records_for_when_it_is_back() {
    let mut log = Script::new("rule = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    log.catalog_of("[tables.other]", false);
    assert_eq!(log.shown(), json!({"a": 1}));
    log.catalog("rule = \"first_write_wins\"", false);
    log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["5.a first_write_wins automatic: 2=1 beats 5=2"]);
}

const MERGES: &str = "[tables.t.fields.n]\nmerge = \"sum\"\n[tables.t.fields.u]\nmerge = \"union\"";

#[test]
fn every_put_on_a_merge_field_is_a_contribution() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"n": 2, "u": [1, 1, "x"]}));
    log.put(2, 1, json!({"n": -5, "u": [1.0, "x", 1]}));
    log.put(2, 3, json!({"n": 10, "u": ["y"]}));
    assert_eq!((log.shown(), log.conflicts()), (json!({"n": 7, "u": [1, "x", 1.0, "y"]}), vec![]));
}

#[test]
fn null_counts_as_nothing_and_the_result_is_of_the_merges_type() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"n": null, "u": null}));
    assert_eq!(log.shown(), json!({"n": 0, "u": []}));
}

#[test]
fn a_sum_is_exact_and_shown_clamped() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"n": i64::MAX}));
    log.put(2, 1, json!({"n": 10}));
    assert_eq!(log.shown(), json!({"n": i64::MAX}));
    log.put(3, 1, json!({"n": -11}));
    assert_eq!(log.shown(), json!({"n": i64::MAX - 1}));
}

#[test]
fn what_does_not_merge_is_set_and_a_row_has_what_it_met() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"n": 2}));
    log.put(2, 1, json!({"n": 3}));
    log.put(3, 2, json!({"n": "x"}));
    assert_eq!(
        (log.shown(), log.conflicts()),
        (json!({"n": "x"}), vec!["4.n last_write_wins automatic: 4=\"x\" beats 3=5".to_owned()])
    );
    log.put(3, 4, json!({"n": 1}));
    log.put(1, 4, json!({"n": 1}));
    assert_eq!(log.shown(), json!({"n": 2}), "additions start from the number that replaced the text");
}

#[test]
fn a_plain_rule_meets_the_newest_concurrent_contributor() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"n": 2}));
    log.put(2, 1, json!({"n": 3}));
    log.put(3, 1, json!({"n": 4}));
    log.catalog("", false);
    log.put(3, 2, json!({"n": 100}));
    assert_eq!(log.conflicts(), ["6.n last_write_wins automatic: 6=100 beats 3=9"]);
    log.put(1, 6, json!({"n": 1}));
    assert_eq!(log.conflicts().len(), 1, "it is the only contributor now");
}

#[test]
fn a_field_remembers_the_newest_of_each_device_and_of_those_the_64_latest() {
    let mut log = Script::new(MERGES);
    for device in 1..=65 {
        log.put(device, 1, json!({"n": 1}));
    }
    log.catalog("", false);
    // Device 1, which wrote event 2, is forgotten. Device 2 is remembered.
    log.catalog("rule = \"first_write_wins\"", false);
    log.put(100, 2, json!({"n": 0}));
    assert_eq!(log.conflicts(), ["69.n first_write_wins automatic: 66=65 beats 69=0"]);
    let known = log.put(100, 66, json!({"n": 0}));
    assert_eq!((log.verdict(known), log.shown()), ("applied", json!({"n": 0})));
}

#[test]
fn a_union_drops_the_duplicates_of_the_array_that_it_starts_from() {
    let mut log = Script::new("");
    log.put(1, 1, json!({"u": [1, 1, 2]}));
    log.catalog(MERGES, false);
    assert_eq!(log.shown(), json!({"u": [1, 1, 2]}), "a catalog changes no value");
    log.put(2, 3, json!({"u": [2, 3, 3]}));
    assert_eq!(log.shown(), json!({"u": [1, 2, 3]}));
}

#[test]
fn contributions_by_the_server_count_each() {
    let mut log = Script::new("on_delete = \"rule\"\nrule = \"role_priority\"\n[tables.t.fields.n]\nmerge = \"sum\"");
    log.roles = [(0, "manager"), (2, "clerk")].into();
    log.put(0, 1, json!({"n": 1}));
    log.roles.insert(0, "guest");
    log.put(0, 2, json!({"n": 1}));
    let delete = log.delete(2, 1);
    assert_eq!(
        (log.conflicts(), log.verdict(delete)),
        (vec!["4. role_priority automatic: 2 beats 4=deleted".to_owned()], "superseded")
    );
}

#[test]
fn a_fields_rule_takes_clock_and_roles_of_its_tables_rule_if_that_is_the_same() {
    let mut log = Script::new("clock = \"device\"\n[tables.t.fields.a]\nrule = \"last_write_wins\"");
    log.put(1, 1, json!({"a": 1}));
    log.skew = -9_000;
    log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["3.a last_write_wins automatic: 2=1 beats 3=2"]);

    let listed = "rule = \"role_priority\"\nroles = [\"guest\"]\n";
    let mut log = Script::new(&format!("{listed}[tables.t.fields.a]\nrule = \"role_priority\""));
    log.roles = [(1, "guest"), (2, "manager")].into();
    log.put(1, 1, json!({"a": 1}));
    log.put(2, 1, json!({"a": 2}));
    assert_eq!(log.conflicts(), ["3.a role_priority automatic: 2=1 beats 3=2"]);
    log.catalog("rule = \"first_write_wins\"\n[tables.t.fields.a]\nrule = \"role_priority\"", false);
    log.put(2, 1, json!({"a": 3}));
    assert_eq!(log.shown(), json!({"a": 3}), "the roles of the catalog");
}

#[test]
fn a_resolver_is_told_a_delete_from_a_field_that_is_not_given() {
    let mut log = Script::new("granularity = \"record\"\non_delete = \"rule\"\nrule = \"custom\"\nname = \"larger\"");
    log.put(2, 1, json!({"a": 1}));
    log.put(3, 1, json!({"b": 1}));
    assert_eq!(log.conflicts(), ["3.b custom automatic: nobody beats 3=1, by 2"]);
    log.delete(3, 1);
    assert_eq!((log.shown(), log.conflicts().len()), (json!("deleted"), 2), "device 3 is larger");
}

#[test]
fn granularity_record_if_it_loses_once_it_loses_whole() {
    let mut log = Script::new("granularity = \"record\"\n[tables.t.fields.f]\nrule = \"first_write_wins\"");
    log.put(1, 1, json!({"f": 1, "same": 5}));
    log.put(2, 2, json!({"a": 1}));
    let whole = log.put(3, 1, json!({"a": 2, "b": 3, "same": 5}));
    // The put does not give f, but the writer of f beats it. What stands beside each value is its writer's.
    let rows = [
        "4.a first_write_wins automatic: 3=1 beats 4=2, by 2",
        "4.b first_write_wins automatic: nobody beats 4=3, by 2",
    ];
    assert_eq!((log.conflicts(), log.verdict(whole)), (rows.map(str::to_owned).to_vec(), "merged"));
    assert_eq!(log.shown(), json!({"a": 1, "f": 1, "same": 5}));
}

#[test]
fn granularity_record_lost_with_all_values_equal_is_applied() {
    let mut log = Script::new("granularity = \"record\"\nrule = \"manual\"");
    log.put(1, 1, json!({"a": 1}));
    assert_eq!((log.put(2, 1, json!({"a": 1})), log.verdict(3), log.conflicts()), (3, "applied", vec![]));
}

#[test]
fn granularity_record_takes_a_manual_rule_first_and_leaves_merges_aside() {
    let fields = "[tables.t.fields.b]\nrule = \"manual\"\n[tables.t.fields.n]\nmerge = \"sum\"";
    let mut log = Script::new(&format!("granularity = \"record\"\nrule = \"first_write_wins\"\n{fields}"));
    log.put(1, 1, json!({"n": 1}));
    log.put(2, 1, json!({"n": 2}));
    assert_eq!(log.shown(), json!({"n": 3}), "merges alone beat no put");
    log.put(1, 3, json!({"a": 1, "b": 1}));
    log.put(2, 1, json!({"a": 2, "n": 5}));
    assert_eq!(log.conflicts(), ["5.a manual open: 4=1 beats 5=2, by 4", "5.n manual open: 3=3 beats 5=5, by 4"]);
    assert_eq!(log.shown(), json!({"a": 1, "b": 1, "n": 3}));
}

#[test]
fn a_put_that_would_make_the_record_too_large_loses_whole() {
    let mut log = Script::new(MERGES);
    log.put(1, 1, json!({"u": (0..9_999).collect::<Vec<_>>()}));
    let limit = log.put(2, 1, json!({"u": [-1, -2], "a": 1}));
    assert_eq!(log.verdict(limit), "superseded");
    let state = log.state();
    assert_eq!(state.conflicts.iter().map(|conflict| conflict.rule.as_str()).collect::<Vec<_>>(), ["limit", "limit"]);
    let winners = state.conflicts.iter().map(|conflict| conflict.winner.as_ref().and_then(|side| side.event));
    let winners: Vec<_> = winners.map(|event| event.map(|(position, _)| position.0)).collect();
    assert_eq!(winners, [None, Some(2)], "nothing stood in a");
    log.put(2, 1, json!({"u": [-1, 5]}));
    assert_eq!(log.shown()["u"].as_array().unwrap().len(), 10_000);
}
