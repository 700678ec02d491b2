//! Negative controls: rules that break the contract of resolvers, and oracles that leave a rule out, for which the
//! comparison of two folds has to fail.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::SystemTime;

use tidelog_core::fold::{Contender, Decision, Resolvers};
use tidelog_testkit::oracle::generate::{Weight, example_resolver, generate, generate_heavy};
use tidelog_testkit::oracle::{LeftOut, fold_without};

use crate::fold::{Outcome, fold, fold_by};

/// The number of logs, of 60, that two replicas with such resolvers fold to different records, conflicts or verdicts.
fn diverging(resolvers: impl Fn() -> Resolvers) -> usize {
    let differs = |seed: &u64| {
        let events = generate(*seed, 40);
        fold_by(&events, resolvers()) != fold_by(&events, resolvers())
    };
    (0..60).filter(differs).count()
}

fn both(resolver: impl Fn(Contender<'_>, Contender<'_>) -> Decision + Copy + Send + Sync + 'static) -> Resolvers {
    Resolvers::none().with("larger", resolver).with("asks", resolver)
}

fn op_wins_if(wins: bool) -> Decision {
    if wins { Decision::OpWins } else { Decision::StoredStays }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reading the clock is the fault of this rule")]
fn a_rule_that_reads_a_clock_is_caught() {
    let by_the_clock = |_: Contender<'_>, _: Contender<'_>| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        op_wins_if(now.subsec_nanos().count_ones().is_multiple_of(2))
    };
    assert!(diverging(|| both(by_the_clock)) > 0);
}

#[test]
fn a_tie_that_each_replica_breaks_in_its_own_way_is_caught() {
    let without_a_tie_break = || {
        // Like the order of a hash map, which differs from process to process.
        let (hasher, other) = (RandomState::new(), RandomState::new());
        let by_role = move |hasher: &RandomState, op: Contender<'_>, stored: Contender<'_>| {
            let hash = |of: Contender<'_>| hasher.hash_one(of.writer.position);
            match op.writer.role.as_str().cmp(stored.writer.role.as_str()) {
                std::cmp::Ordering::Equal => op_wins_if(hash(op) > hash(stored)),
                order => op_wins_if(order.is_gt()),
            }
        };
        Resolvers::none()
            .with("larger", move |op: Contender<'_>, stored: Contender<'_>| by_role(&hasher, op, stored))
            .with("asks", move |op: Contender<'_>, stored: Contender<'_>| by_role(&other, op, stored))
    };
    assert!(diverging(without_a_tie_break) > 0);
}

#[test]
fn a_rule_that_keeps_the_contract_is_not_caught() {
    assert_eq!(diverging(|| both(|op, stored| op_wins_if(op.writer.device > stored.writer.device))), 0);
}

/// The logs in which a rule that an oracle leaves out is looked for. Most rules are found in the first hundred.
const SEEDS_MAX: u64 = 20_000;

#[test]
fn an_oracle_that_leaves_out_a_rule_is_caught() {
    let mut left: Vec<LeftOut> = LeftOut::ALL.to_vec();
    for seed in 0..SEEDS_MAX {
        if left.is_empty() {
            return;
        }
        let events = generate(seed, 40);
        let folded = fold(&events);
        left.retain(|rule| {
            let is_same = Outcome::from(fold_without(&events, *rule, &example_resolver)) == folded;
            if !is_same {
                println!("seed {seed} has {rule:?}");
            }
            is_same
        });
    }
    panic!("no log of {SEEDS_MAX} has {left:?}");
}

#[test]
fn an_oracle_without_forgotten_deletes_is_caught() {
    let differs = |seed: u64| {
        let events = generate_heavy(seed, Weight::Deletes);
        Outcome::from(fold_without(&events, LeftOut::ForgottenDeletes, &example_resolver)) != fold(&events)
    };
    assert!((0..20).any(differs));
}
