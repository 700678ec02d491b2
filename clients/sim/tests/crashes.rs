//! C-12: an engine that is dropped at any command, and begun again from its store, ends where one ends that never was.

use tidelog_sim::{Options, World};

#[test]
fn c_12_a_crash_at_any_command_changes_nothing_at_the_end() {
    let options = || Options {
        devices: 2,
        tabs: 1,
        turns: 0,
        network_faults: 0,
        world_faults: 0,
        clones: false,
        restores: false,
        catalogs: false,
        revokes: false,
        seals: false,
        mutant: None,
    };
    let undisturbed = World::new(1, options()).run_script(None).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(undisturbed.commands > 60, "the script is long enough: {} commands", undisturbed.commands);
    for command in 0..undisturbed.commands {
        let crashed = World::new(1, options()).run_script(Some(command)).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(crashed.records, undisturbed.records, "after a crash at command {command}");
    }
}
