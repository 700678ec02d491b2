//! The rows of push.

mod figures;
mod sides;

use std::collections::BTreeMap;

use anyhow::Result;

use self::sides::{Run, Shape, Side};
use super::super::args::Row;
use super::super::lab::Lab;
use super::super::limits::table::Target as Table;
use super::super::report::Report;
use crate::output;

/// 16 devices in 16 workspaces, batches of 100.
pub(crate) const PUSH_100: Shape = Shape { devices: 16, one_workspace: false, batch: 100, json: false };
const PUSH_100_ONE: Shape = Shape { one_workspace: true, ..PUSH_100 };
const PUSH_100_JSON: Shape = Shape { json: true, ..PUSH_100 };
const PUSH_1: Shape = Shape { batch: 1, ..PUSH_100 };
const PUSH_1_ONE: Shape = Shape { devices: 64, one_workspace: true, batch: 1, json: false };
const PUSH_1_64: Shape = Shape { one_workspace: false, ..PUSH_1_ONE };

/// What the sides did, round by round.
type Runs = BTreeMap<Side, Vec<Run>>;

/// The sides that a row compares; the first is its subject.
fn sides_of(row: Row) -> &'static [Side] {
    match row {
        Row::Push100 => &[Side::Tidelog(PUSH_100), Side::Copy(Table::Reference), Side::Copy(Table::Ours)],
        Row::Push100One => &[Side::Tidelog(PUSH_100_ONE), Side::Tidelog(PUSH_100)],
        Row::Push100Json => &[Side::Tidelog(PUSH_100_JSON), Side::Tidelog(PUSH_100)],
        Row::Push1 => &[Side::Tidelog(PUSH_1), Side::Commit(16), Side::Append(16)],
        Row::Push1One => &[Side::Tidelog(PUSH_1_ONE)],
        Row::Push1SixtyFour => &[Side::Tidelog(PUSH_1_64), Side::Commit(64), Side::Append(64)],
        _ => &[],
    }
}

/// Runs the rows of push among `rows`: all their sides in turns, round by round.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    for together in
        [&[Row::Push100, Row::Push100One, Row::Push100Json][..], &[Row::Push1, Row::Push1One, Row::Push1SixtyFour]]
    {
        let rows: Vec<Row> = rows.iter().copied().filter(|row| together.contains(row)).collect();
        let runs = in_turns(lab, &rows, lab.plan.rounds).await?;
        for row in rows {
            figures::add(lab, row, &runs, report).await?;
        }
    }
    Ok(())
}

async fn in_turns(lab: &Lab, rows: &[Row], rounds: u32) -> Result<Runs> {
    let mut sides: Vec<Side> = Vec::new();
    for side in rows.iter().flat_map(|row| sides_of(*row)) {
        if !sides.contains(side) {
            sides.push(*side);
        }
    }
    let mut runs = Runs::new();
    for round in 1..=rounds {
        let mut group_ops = 1.0;
        for side in &sides {
            let run = side.run(lab, group_ops).await?;
            if *side == Side::Tidelog(PUSH_100) {
                group_ops = run.group_ops;
            }
            let (rate, group) = (run.sample.per_second(), run.group_ops);
            output::note(format_args!("round {round}: {side:?}: {rate:.0}/s, {group:.0} a transaction"));
            runs.entry(*side).or_default().push(run);
        }
    }
    Ok(runs)
}
