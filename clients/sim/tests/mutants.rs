//! The negative controls: each fault of the machinery makes a check go red that is meant for it.

use tidelog_sim::{Mutant, Options, run};

/// The seeds in which a fault has to be found.
const SEEDS: u64 = 60;

/// The first failure that a fault of the machinery leads to.
#[track_caller]
fn assert_found(mutant: Mutant, invariants: &[&str], change: impl Fn(&mut Options)) {
    let failures = (0..SEEDS).filter_map(|seed| {
        let mut options = Options { mutant: Some(mutant), ..Options::all(seed) };
        change(&mut options);
        run(seed, options).err().map(|failure| failure.what)
    });
    let mut others = Vec::new();
    for what in failures {
        if invariants.iter().any(|invariant| what.starts_with(invariant)) {
            return;
        }
        others.push(what);
    }
    panic!("{mutant:?} is not found by {invariants:?}, but: {others:#?}");
}

#[test]
fn c_1_an_op_that_the_store_forgets_is_missed() {
    assert_found(Mutant::ForgetsCommits, &["C-1"], |options| {
        (options.clones, options.restores, options.revokes) = (false, false, false);
    });
}

#[test]
fn c_2_an_op_that_changes_on_its_way_is_found() {
    assert_found(Mutant::RewritesOps, &["C-2"], |options| {
        (options.clones, options.restores, options.revokes) = (false, false, false);
    });
}

#[test]
fn c_3_an_op_that_leaves_the_outbox_too_early_is_found() {
    assert_found(Mutant::DropsOutboxRows, &["C-3"], |_| ());
}

#[test]
fn c_4_a_lane_that_nothing_wakes_is_found() {
    assert_found(Mutant::ForgetsTimers, &["C-4"], |_| ());
}

#[test]
fn c_5_a_device_that_lacks_an_event_is_found() {
    assert_found(Mutant::OmitsEvents, &["C-5"], |_| ());
}

#[test]
fn c_6_and_c_10_a_twin_whose_op_is_taken_for_another_is_found() {
    assert_found(Mutant::TrustsSeqs, &["C-10"], |options| {
        (options.clones, options.restores, options.revokes) = (true, false, false);
    });
}

#[test]
fn c_7_a_base_that_claims_too_much_is_found() {
    assert_found(Mutant::RaisesBases, &["C-7"], |_| ());
}

#[test]
fn c_8_a_view_without_the_own_ops_is_found() {
    assert_found(Mutant::HidesOverlay, &["C-8"], |_| ());
}

#[test]
fn c_9_a_page_that_is_taken_twice_is_found() {
    assert_found(Mutant::IgnoresGuards, &["C-9", "C-6", "C-1", "C-3"], |options| {
        (options.tabs, options.restores, options.clones, options.revokes) = (2, false, false, false);
    });
}

#[test]
fn c_11_a_device_that_keeps_nothing_for_a_restored_server_is_found() {
    assert_found(Mutant::ForgetsSent, &["C-11"], |options| {
        (options.restores, options.clones, options.revokes) = (true, false, false);
        (options.devices, options.tabs, options.turns) = (2, 1, 2_000);
    });
}

#[test]
fn c_12_a_crash_that_takes_a_commit_with_it_is_found() {
    assert_found(Mutant::LosesLastCommit, &["C-1", "C-6", "C-8"], |options| {
        (options.clones, options.restores, options.revokes) = (false, false, false);
    });
}

#[test]
fn c_13_records_that_outlive_their_table_are_found() {
    assert_found(Mutant::KeepsDropped, &["C-13"], |_| ());
}

#[test]
fn c_15_plaintext_on_its_way_is_found() {
    assert_found(Mutant::SealsNothing, &["C-15"], |options| options.seals = true);
}
