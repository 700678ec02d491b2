//! Granularity `record`: an op is judged against every foreign writer after its base, and wins or loses as a whole.

use tidelog_core::verdict::Verdict::{Applied, Conflict, Merged, Superseded};

use crate::story::{Log, MORE_RULES};

fn shows(log: &Log) -> String {
    log.shows("whole", "r")
}

#[test]
fn an_op_that_loses_in_one_field_loses_in_all_of_them() {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", "whole", "r", &[("title", "a"), ("body", "a")]);
    log.put("tablet", "whole", "r", &[("title", "b"), ("new", "b")]).base(1);
    assert_eq!((shows(&log).as_str(), log.verdict(3)), ("body=a@2 title=a@2", Superseded));
    assert_eq!(
        log.conflicts(3),
        [
            "3.new first_write_wins automatic: nothing over 3 b, beaten by 2",
            "3.title first_write_wins automatic: 2 a over 3 b, beaten by 2"
        ]
    );
    log.put("watch", "whole", "r", &[("new", "c")]).base(1);
    assert_eq!((shows(&log).as_str(), log.verdict(4)), ("body=a@2 title=a@2", Superseded), "whichever field it sets");
    log.put("watch", "whole", "r", &[("new", "c")]).base(2);
    assert_eq!(
        (shows(&log).as_str(), log.verdict(5)),
        ("body=a@2 new=c@5 title=a@2", Applied),
        "a device that has read it wins"
    );
}

#[test]
fn an_equal_value_is_kept_in_an_op_that_loses() {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", "whole", "r", &[("title", "a"), ("body", "a")]);
    log.put("tablet", "whole", "r", &[("title", "a"), ("body", "b")]).base(1);
    assert_eq!((log.verdict(3), log.lost(3)), (Merged, vec!["3.body".to_owned()]));
    log.put("watch", "whole", "r", &[("title", "a")]).base(1);
    assert_eq!((log.verdict(4), log.lost(4)), (Applied, vec![]), "it lost nothing");
}

#[test]
fn the_winner_is_the_latest_writer_that_beat_it_and_its_rule_says_whether_to_ask() {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", "whole", "r", &[("hours", "1")]);
    log.put("phone", "whole", "r", &[("title", "a")]);
    log.put("tablet", "whole", "r", &[("hours", "2")]).base(1);
    assert_eq!((log.verdict(4), log.open("whole", "r")), (Superseded, vec![]));
    assert_eq!(
        log.conflicts(4),
        ["4.hours first_write_wins automatic: 2 1 over 4 2, beaten by 3"],
        "the latest opponent is the writer of title"
    );
    log.put("watch", "whole", "r", &[("title", "b")]).base(3);
    log.put("phone", "whole", "r", &[("hours", "3")]);
    log.put("tablet", "whole", "r", &[("body", "c")]).base(5);
    let asks = "7.body manual open: nothing over 7 c, beaten by 6";
    assert_eq!((log.verdict(7), log.conflicts(7)), (Conflict, vec![asks.to_owned()]));
    assert_eq!(log.open("whole", "r"), ["7.body: 6 won, 7 lost"]);
    log.resolve("tablet", "whole", "r", "7.body", &[("body", "c")]).base(5);
    assert_eq!((log.verdict(8), log.closed(8)), (Applied, vec!["7.body resolved".to_owned()]), "it settles with 6");
}

#[test]
fn merge_fields_are_no_opponents_and_share_the_fate_of_the_op() {
    let mut log = Log::under(MORE_RULES);
    log.put_json("phone", "whole", "r", r#"{"total": 1}"#);
    log.put_json("tablet", "whole", "r", r#"{"total": 2, "title": "b"}"#).base(1);
    assert_eq!((log.shows("whole", "r").as_str(), log.verdict(3)), ("title=b@3 total=Int(3)@3", Applied));
    log.put_json("watch", "whole", "r", r#"{"total": 4, "title": "c"}"#).base(1);
    assert_eq!((log.shows("whole", "r").as_str(), log.verdict(4)), ("title=b@3 total=Int(3)@3", Superseded));
    assert_eq!(log.lost(4), ["4.title", "4.total"]);
}

#[test]
fn an_op_that_wins_beats_what_it_overwrites_and_leaves_the_rest() {
    let mut log = Log::under(MORE_RULES);
    log.put("phone", "whole_last", "r", &[("title", "a"), ("body", "a")]);
    log.put("tablet", "whole_last", "r", &[("title", "b")]).base(1);
    assert_eq!((log.shows("whole_last", "r").as_str(), log.verdict(3)), ("body=a@2 title=b@3", Applied));
    assert_eq!(log.conflicts(3), ["3.title last_write_wins automatic: 3 b over 2 a"]);
}
