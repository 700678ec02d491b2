//! The push scenarios: devices push to a server, beside clients that write the same rows to Postgres.

mod contenders;
mod definitions;
mod figures;
mod loads;

use std::collections::BTreeMap;

use anyhow::Result;

pub(super) use self::contenders::Contender;
use self::contenders::Run;
use self::definitions::{PushScenario, SCENARIOS};
pub(super) use self::loads::{PUSH_100, PushLoad};
use crate::bench::environment::Environment;
use crate::bench::plan::Scenario;
use crate::bench::report::{Report, number};
use crate::output;

/// By how much commits are slower in [`run_with_slow_commits`].
const SLOW_COMMIT_US: u32 = 2_000;

/// Runs the push scenarios of the plan, the contenders of each group in turns, round by round.
pub(super) async fn run(environment: &Environment, report: &mut Report) -> Result<()> {
    let plan = &environment.plan;
    for group in PushScenario::groups() {
        let is_planned = |scenario: &&PushScenario| plan.scenarios.contains(&scenario.scenario);
        let scenarios: Vec<&PushScenario> = group.iter().filter(is_planned).collect();
        let runs = run_in_turns(environment, &scenarios, plan.rounds, !plan.is_quick).await?;
        for scenario in scenarios {
            figures::add(environment, scenario, &runs, report).await?;
        }
    }
    Ok(())
}

/// Runs push scenarios once more with slower commits, if the plan has that: on many disks a flush takes longer than on the one
/// of this machine.
pub(super) async fn run_with_slow_commits(environment: &Environment, report: &mut Report) -> Result<()> {
    let (postgres, plan) = (&environment.postgres, &environment.plan);
    if plan.scenarios.contains(&Scenario::CommitDelay) {
        postgres.set("commit_siblings", "0").await?;
        postgres.set("commit_delay", &SLOW_COMMIT_US.to_string()).await?;
        run_slowly(environment, |_| true, ", 2 ms added to every commit", report).await?;
        postgres.set("commit_delay", "0").await?;
    }
    if plan.scenarios.contains(&Scenario::SlowFlush) {
        postgres.slow_down_flushes(SLOW_COMMIT_US).await?;
        let has_target = |scenario: &PushScenario| scenario.slow_commits_target.is_some();
        run_slowly(environment, has_target, ", 2 ms added to every flush", report).await?;
        postgres.slow_down_flushes(0).await?;
    }
    Ok(())
}

/// Runs scenarios with slower commits. `condition` is added to the names of their figures.
async fn run_slowly(
    environment: &Environment,
    is_run: impl Fn(&PushScenario) -> bool,
    condition: &str,
    report: &mut Report,
) -> Result<()> {
    let scenarios: Vec<&PushScenario> = SCENARIOS.iter().filter(|scenario| is_run(scenario)).collect();
    let runs = run_in_turns(environment, &scenarios, environment.plan.rounds, false).await?;
    for scenario in scenarios {
        let figure = figures::rate(scenario, &runs, condition)?;
        report.add(match scenario.slow_commits_target {
            Some(target) => figure.target(target),
            None => figure,
        });
    }
    Ok(())
}

async fn run_in_turns(
    environment: &Environment,
    scenarios: &[&PushScenario],
    rounds: u32,
    with_also_beside: bool,
) -> Result<BTreeMap<Contender, Vec<Run>>> {
    let mut contenders: Vec<Contender> = Vec::new();
    for contender in scenarios.iter().flat_map(|scenario| scenario.contenders(with_also_beside)) {
        if !contenders.contains(&contender) {
            contenders.push(contender);
        }
    }
    let mut runs: BTreeMap<Contender, Vec<Run>> = BTreeMap::new();
    for round in 1..=rounds {
        let mut group_ops = 1.0;
        for contender in &contenders {
            let run = match (contender, contender.run(environment, group_ops).await) {
                (_, Ok(run)) => run,
                // The call depends on the parameters of the function, and every other figure can do without it.
                (Contender::Append(_), Err(error)) => {
                    output::note(format_args!("round {round}: {contender}: left out: {error:#}"));
                    continue;
                }
                (_, Err(error)) => return Err(error.context(format!("measuring {contender}"))),
            };
            if *contender == Contender::Tidelog(PUSH_100) {
                group_ops = run.group_ops;
            }
            note_run(round, *contender, &run);
            runs.entry(*contender).or_default().push(run);
        }
    }
    Ok(runs)
}

fn note_run(round: u32, contender: Contender, run: &Run) {
    let rate = number(run.sample.per_second());
    let (group_ops, generator_us) = (number(run.group_ops), number(run.sample.us_each(run.sample.cpu.generator_s)));
    output::note(format_args!(
        "round {round}: {contender}: {rate} ops/s, {group_ops} ops/transaction, CPU of the generator {generator_us} us/op"
    ));
}
