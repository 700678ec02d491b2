//! Random runs of the simulation. `TIDELOG_SIM_SEEDS` says how many, `TIDELOG_SIM_FIRST` which is the first.

use tidelog_sim::{Failure, Options, run};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_seed_breaks_an_invariant() {
    assert_all_hold(Options::all);
}

#[test]
#[ignore = "twins that are copied again, or while they register, are not told apart yet in every run"]
fn no_seed_with_copied_stores_breaks_an_invariant() {
    assert_all_hold(Options::with_clones);
}

#[track_caller]
fn assert_all_hold(options: impl Fn(u64) -> Options) {
    let (first, seeds) = (number("TIDELOG_SIM_FIRST", 0), number("TIDELOG_SIM_SEEDS", 500));
    let failures: Vec<Failure> = (first..first + seeds).filter_map(|seed| run(seed, options(seed)).err()).collect();
    let Some(shortest) = failures.iter().min_by_key(|failure| failure.script.len()) else { return };
    let all: Vec<_> = failures.iter().map(|failure| format!("seed {}: {:.300}", failure.seed, failure.what)).collect();
    panic!("{} of {seeds} seeds fail:\n{}\n\nthe shortest:\n{shortest}", all.len(), all.join("\n"));
}
