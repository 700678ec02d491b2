//! Random runs of the simulation. `TIDELOG_SIM_SEEDS` says how many, `TIDELOG_SIM_FIRST` which is the first.

use tidelog_sim::{Failure, Options, run};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// With `TIDELOG_SIM_CLONES` stores are copied too. Twins that are copied again, or while they register, are not told apart
/// yet in every run (docs/adr/0033).
#[test]
fn no_seed_breaks_an_invariant() {
    let has_clones = std::env::var_os("TIDELOG_SIM_CLONES").is_some();
    assert_all_hold(if has_clones { Options::with_clones } else { Options::all });
}

#[track_caller]
fn assert_all_hold(options: impl Fn(u64) -> Options) {
    let (first, seeds) = (number("TIDELOG_SIM_FIRST", 0), number("TIDELOG_SIM_SEEDS", 500));
    let failures: Vec<Failure> = (first..first + seeds).filter_map(|seed| run(seed, options(seed)).err()).collect();
    let Some(shortest) = failures.iter().min_by_key(|failure| failure.script.len()) else { return };
    let all: Vec<_> = failures.iter().map(|failure| format!("seed {}: {:.300}", failure.seed, failure.what)).collect();
    panic!("{} of {seeds} seeds fail:\n{}\n\nthe shortest:\n{shortest}", all.len(), all.join("\n"));
}
