//! The push scenarios, each with its baseline and its target.

use super::contenders::Contender;
use super::loads::{PUSH_1, PUSH_1_64, PUSH_1_ONE, PUSH_100, PUSH_100_JSON, PUSH_100_ONE, PushLoad};
use crate::bench::baseline::table::BaselineTable;
use crate::bench::plan::Scenario;
use crate::bench::report::Target;

/// A push scenario.
pub(super) struct PushScenario {
    pub(super) scenario: Scenario,
    /// The load on the server.
    pub(super) load: PushLoad,
    /// What the rate of the server is compared with.
    pub(super) baseline: Option<Contender>,
    /// Further contenders that the rate is compared with, without a target.
    pub(super) also_beside: &'static [Contender],
    /// The target of the rate.
    pub(super) target: Target,
    /// The target of the rate where commits are slow.
    pub(super) slow_commits_target: Option<Target>,
    /// Consecutive scenarios of the same group are measured in turns with each other.
    group: u32,
}

pub(super) const SCENARIOS: [PushScenario; 6] = [
    PushScenario {
        scenario: Scenario::Push100,
        load: PUSH_100,
        baseline: Some(Contender::Copy(BaselineTable::Reference)),
        also_beside: &[Contender::Copy(BaselineTable::Ours)],
        target: Target::RatioAtLeast(0.6),
        slow_commits_target: None,
        group: 100,
    },
    PushScenario {
        scenario: Scenario::Push100One,
        load: PUSH_100_ONE,
        baseline: Some(Contender::Tidelog(PUSH_100)),
        also_beside: &[],
        target: Target::RatioAtLeast(0.8),
        slow_commits_target: None,
        group: 100,
    },
    PushScenario {
        scenario: Scenario::Push100Json,
        load: PUSH_100_JSON,
        baseline: Some(Contender::Tidelog(PUSH_100)),
        also_beside: &[],
        target: Target::RatioAtLeast(0.6),
        slow_commits_target: None,
        group: 100,
    },
    PushScenario {
        scenario: Scenario::Push1,
        load: PUSH_1,
        baseline: Some(Contender::Commit(16)),
        also_beside: &[Contender::Append(16)],
        target: Target::RatioAtLeast(0.8),
        slow_commits_target: Some(Target::RatioAtLeast(0.9)),
        group: 1,
    },
    PushScenario {
        scenario: Scenario::Push1One,
        load: PUSH_1_ONE,
        baseline: None,
        also_beside: &[],
        target: Target::AtLeast(20_000.0),
        slow_commits_target: None,
        group: 1,
    },
    PushScenario {
        scenario: Scenario::Push1SixtyFour,
        load: PUSH_1_64,
        baseline: Some(Contender::Commit(64)),
        also_beside: &[Contender::Append(64)],
        target: Target::RatioAtLeast(1.0),
        slow_commits_target: Some(Target::RatioAtLeast(1.0)),
        group: 1,
    },
];

impl PushScenario {
    /// The scenarios in the groups that are measured in turns.
    pub(super) fn groups() -> impl Iterator<Item = &'static [Self]> {
        SCENARIOS.chunk_by(|one, next| one.group == next.group)
    }

    /// The contenders that are measured for this scenario. Those of `also_beside` are optional.
    pub(super) fn contenders(&self, with_also_beside: bool) -> impl Iterator<Item = Contender> {
        let also_beside = if with_also_beside { self.also_beside } else { &[] };
        [Contender::Tidelog(self.load)].into_iter().chain(self.baseline).chain(also_beside.iter().copied())
    }
}
