//! Which ops are of one device: `_devices` events say so. A device that replaces another has made the ops of the old name
//! up to a seq, and a readmitted op is of the device that made it first.

use tidelog_core::device_change::{Alias, DeviceChange, Readmitted};
use tidelog_core::fold::{FoldError, Folder};
use tidelog_core::ids::{Position, Seq};
use tidelog_core::op::Intent;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict::{Applied, Conflict, Superseded};

use crate::story::{LastEvent, Log, MORE_RULES, RULES, SERVER, device};

impl Log {
    fn change(&mut self, change: &DeviceChange) -> LastEvent<'_> {
        let op = change.to_op().unwrap();
        self.append(SERVER, "_devices", op.record.as_str(), op.intent.unpack())
    }

    fn replaces(&mut self, name: &str, earlier: &str, through: i64) {
        let replaces = Some(Alias { device: device(earlier), through: Seq(through) });
        self.change(&DeviceChange { replaces, ..DeviceChange::of(device(name)) });
    }

    /// The system device makes an op that `name` has made under this seq.
    fn readmits(&mut self, name: &str, of: i64, record: &str, given: &[(&str, &str)]) -> LastEvent<'_> {
        let next = self.events.iter().filter(|event| event.device.is_system()).count() as i64 + 2;
        let readmitted = Some(Readmitted { seq: Seq(next), of: Seq(of) });
        self.change(&DeviceChange { readmitted, ..DeviceChange::of(device(name)) });
        self.put(SERVER, "plans", record, given)
    }
}

#[test]
fn a_replacement_has_made_what_the_old_name_pushed_up_to_the_seq_and_nothing_after_it() {
    for (through, verdict) in [(1, Conflict), (2, Applied), (3, Applied)] {
        let mut log = Log::under(RULES);
        log.put("lost", "plans", "other", &[("title", "x")]);
        log.put("lost", "plans", "r", &[("title", "a")]);
        log.replaces("tablet", "lost", through);
        log.put("tablet", "plans", "r", &[("title", "b")]).base(1);
        assert_eq!(log.verdict(5), verdict, "through {through}");
    }
    let mut log = Log::under(RULES);
    log.replaces("tablet", "lost", 1);
    log.put("tablet", "plans", "r", &[("title", "b")]).base(1);
    log.put("lost", "plans", "r", &[("title", "a")]).base(1);
    log.put("lost", "plans", "r", &[("title", "c")]).base(1);
    assert_eq!(
        (log.verdict(4), log.verdict(5)),
        (Applied, Applied),
        "it is covered in both directions, and then knows itself"
    );
    log.put("tablet", "plans", "r", &[("title", "d")]).base(1);
    assert_eq!(log.verdict(6), Conflict, "the second op of the old name is not the tablet's");
}

#[test]
fn names_are_covered_through_a_chain_and_a_loop_ends() {
    let mut log = Log::under(RULES);
    log.put("first", "plans", "r", &[("title", "a")]);
    log.replaces("second", "first", 1);
    log.replaces("third", "second", 0);
    log.put("third", "plans", "r", &[("title", "b")]).base(1);
    assert_eq!(log.verdict(5), Applied);
    log.replaces("first", "third", 0);
    log.put("stranger", "plans", "r", &[("title", "c")]).base(1);
    assert_eq!(log.verdict(7), Conflict);
}

#[test]
fn a_change_without_replaces_leaves_the_earlier_name_and_twins_are_strangers() {
    let mut log = Log::under(RULES);
    log.put("lost", "plans", "r", &[("title", "a")]);
    log.replaces("tablet", "lost", 1);
    log.replaces("clone", "lost", 1);
    log.change(&DeviceChange { revoked: true, ..DeviceChange::of(device("tablet")) });
    log.put("tablet", "plans", "r", &[("title", "b")]).base(1);
    log.put("clone", "plans", "r", &[("title", "c")]).base(1);
    assert_eq!((log.verdict(6), log.verdict(7)), (Applied, Conflict));
    assert_eq!((log.verdict(3), log.record("plans", "r").unwrap().touched), (Applied, Position(7)));
}

#[test]
fn a_name_counts_from_its_event_on() {
    let mut log = Log::under(RULES);
    log.put("lost", "plans", "r", &[("title", "a")]);
    log.put("tablet", "plans", "r", &[("title", "b")]).base(1);
    log.replaces("tablet", "lost", 1);
    log.put("tablet", "plans", "r", &[("title", "c")]).base(1);
    assert_eq!((log.verdict(3), log.verdict(5)), (Conflict, Applied));
}

#[test]
fn a_contribution_takes_the_place_of_those_under_earlier_names() {
    let mut log = Log::under(MORE_RULES);
    log.put_json("lost", "kept_counts", "r", r#"{"total": 1}"#);
    log.replaces("tablet", "lost", 1);
    log.put_json("tablet", "kept_counts", "r", r#"{"total": 2}"#).base(1);
    let record = log.record("kept_counts", "r").unwrap();
    assert_eq!(record.fields["total"].contributors().count(), 1);
    log.delete("lost", "kept_counts", "r").base(1);
    assert_eq!(log.verdict(5), Superseded, "the second op of the old name is a stranger's");
}

#[test]
fn readmitted_ops_of_one_device_do_not_conflict_with_each_other() {
    let mut log = Log::under(RULES);
    for (seq, title) in [(4, "a"), (5, "b"), (6, "c")] {
        log.readmits("phone", seq, "r", &[("title", title)]).base(1);
    }
    assert_eq!(log.shows("plans", "r"), "title=c@7");
    assert_eq!([3, 5, 7].map(|at| log.verdict(at)), [Applied; 3]);
    log.put("phone", "plans", "r", &[("title", "d")]).base(1);
    assert_eq!(log.verdict(8), Applied, "nor with the device's own");
    log.readmits("tablet", 1, "r", &[("title", "e")]).base(1);
    let conflict = log.outcome(10).conflicts.remove(0);
    assert_eq!((conflict.loser.device, conflict.loser.seq), (device("tablet"), Seq(1)));
    let open = &log.record("plans", "r").unwrap().open_conflicts[&conflict.id];
    assert_eq!((open.loser.device, open.loser.seq), (device("tablet"), Seq(1)));
    log.put(SERVER, "plans", "r", &[("title", "f")]).base(8);
    assert_eq!(log.verdict(11), Applied, "the event before said nothing of this op, and it knows of what stands");
    log.put(SERVER, "plans", "r", &[("title", "g")]).base(8);
    assert_eq!(log.verdict(12), Conflict, "other ops of the system device are of different devices");
}

#[test]
fn a_devices_event_that_cannot_be_read_stops_the_fold() {
    let mut log = Log::under(RULES);
    log.append(SERVER, "_devices", "no device", Intent::Put(Fields::default()));
    assert!(matches!(log.try_fold(), Err(FoldError::Device { position: Position(2), .. })));
    let (mut folder, log) = (Folder::new(), {
        let mut log = Log::under(RULES);
        log.replaces("tablet", "lost", 1);
        log
    });
    folder.fold(&log.events[1]).unwrap();
    assert_eq!(folder.aliases().iter().count(), 1, "such an event needs no catalog");
}
