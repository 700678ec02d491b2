//! The rows of push.

mod figures;
mod sides;

use std::collections::BTreeMap;

use anyhow::Result;

use self::sides::Run;
pub(crate) use self::sides::{Shape, Side};
use crate::bench::args::Row;
use crate::bench::lab::Lab;
use crate::bench::limits::table::Target as Table;
use crate::bench::report::{Report, Target};
use crate::output;

/// 16 devices in 16 workspaces, batches of 100.
pub(crate) const PUSH_100: Shape = Shape { devices: 16, one_workspace: false, batch: 100, json: false };
const PUSH_100_ONE: Shape = Shape { one_workspace: true, ..PUSH_100 };
const PUSH_100_JSON: Shape = Shape { json: true, ..PUSH_100 };
const PUSH_1: Shape = Shape { batch: 1, ..PUSH_100 };
const PUSH_1_ONE: Shape = Shape { devices: 64, one_workspace: true, batch: 1, json: false };
const PUSH_1_64: Shape = Shape { one_workspace: false, ..PUSH_1_ONE };

/// What is added to every commit for the rows that are run again, in microseconds.
const COMMIT_DELAY_US: u32 = 2_000;

/// A row of push.
struct PushRow {
    row: Row,
    name: &'static str,
    subject: Shape,
    /// What its rate is compared with.
    limit: Option<Side>,
    /// What it also stands beside.
    beside: &'static [Side],
    /// What its rate should be.
    target: Target,
    /// Rows of one group are measured in turns with each other.
    group: u32,
}

const ROWS: [PushRow; 6] = [
    PushRow {
        row: Row::Push100,
        name: "push, 16 devices in 16 workspaces, x100",
        subject: PUSH_100,
        limit: Some(Side::Copy(Table::Reference)),
        beside: &[Side::Copy(Table::Ours)],
        target: Target::RatioAtLeast(0.6),
        group: 100,
    },
    PushRow {
        row: Row::Push100One,
        name: "push, 16 devices in ONE workspace, x100",
        subject: PUSH_100_ONE,
        limit: Some(Side::Tidelog(PUSH_100)),
        beside: &[],
        target: Target::RatioAtLeast(0.8),
        group: 100,
    },
    PushRow {
        row: Row::Push100Json,
        name: "push in JSON, 16 devices in 16 workspaces, x100",
        subject: PUSH_100_JSON,
        limit: Some(Side::Tidelog(PUSH_100)),
        beside: &[],
        target: Target::RatioAtLeast(0.6),
        group: 100,
    },
    PushRow {
        row: Row::Push1,
        name: "push, 16 devices in 16 workspaces, x1",
        subject: PUSH_1,
        limit: Some(Side::Commit(16)),
        beside: &[Side::Append(16)],
        target: Target::RatioAtLeast(0.8),
        group: 1,
    },
    PushRow {
        row: Row::Push1One,
        name: "push, 64 devices in ONE workspace, x1",
        subject: PUSH_1_ONE,
        limit: None,
        beside: &[],
        target: Target::AtLeast(20_000.0),
        group: 1,
    },
    PushRow {
        row: Row::Push1SixtyFour,
        name: "push, 64 devices in 64 workspaces, x1",
        subject: PUSH_1_64,
        limit: Some(Side::Commit(64)),
        beside: &[Side::Append(64)],
        target: Target::RatioAtLeast(1.0),
        group: 1,
    },
];

/// What the sides did, round by round.
type Runs = BTreeMap<Side, Vec<Run>>;

impl PushRow {
    /// What is measured for it, with or without what it only stands beside.
    fn sides(&self, with_beside: bool) -> impl Iterator<Item = Side> {
        let beside = if with_beside { self.beside } else { &[] };
        [Side::Tidelog(self.subject)].into_iter().chain(self.limit).chain(beside.iter().copied())
    }
}

/// Runs the rows of push among `rows`: all their sides in turns, round by round.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    for group in ROWS.chunk_by(|one, next| one.group == next.group) {
        let group: Vec<&PushRow> = group.iter().filter(|row| rows.contains(&row.row)).collect();
        let runs = in_turns(lab, &group, lab.plan.rounds, !lab.plan.quick).await?;
        for row in group {
            figures::add(lab, row, &runs, report).await?;
        }
    }
    Ok(())
}

/// Runs all rows of push once more with slower commits, if that is among `rows`: on many disks a flush takes longer than
/// on this one.
pub(crate) async fn run_with_commit_delay(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    if !rows.contains(&Row::CommitDelay) {
        return Ok(());
    }
    lab.postgres.set("commit_siblings", "0").await?;
    lab.postgres.set("commit_delay", &COMMIT_DELAY_US.to_string()).await?;
    let all: Vec<&PushRow> = ROWS.iter().collect();
    let runs = in_turns(lab, &all, 1, false).await?;
    for row in all {
        report.add(figures::rate(row, &runs, ", 2 ms added to every commit")?);
    }
    lab.postgres.set("commit_delay", "0").await
}

async fn in_turns(lab: &Lab, rows: &[&PushRow], rounds: u32, with_beside: bool) -> Result<Runs> {
    let mut sides: Vec<Side> = Vec::new();
    for side in rows.iter().flat_map(|row| row.sides(with_beside)) {
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    let mut runs = Runs::new();
    for round in 1..=rounds {
        let mut group_ops = 1.0;
        for side in &sides {
            let run = match (side, side.run(lab, group_ops).await) {
                (_, Ok(run)) => run,
                // It depends on the function's parameters, and everything else can do without it.
                (Side::Append(_), Err(error)) => {
                    output::note(format_args!("round {round}: {side:?} is left out: {error:#}"));
                    continue;
                }
                (_, Err(error)) => return Err(error.context(format!("measuring {side:?}"))),
            };
            if *side == Side::Tidelog(PUSH_100) {
                group_ops = run.group_ops;
            }
            let (rate, group) = (run.sample.per_second(), run.group_ops);
            let client_us = run.sample.us_each(run.sample.cpu.generator_s);
            output::note(format_args!(
                "round {round}: {side:?}: {rate:.0}/s, {group:.0} a transaction, {client_us:.2} us of the client each"
            ));
            runs.entry(*side).or_default().push(run);
        }
    }
    Ok(runs)
}
