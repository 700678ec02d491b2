//! Compares what a server stores with what was pushed. The log is compared op by op. The state is compared in three forms:
//! the records folded here from the pulled log, the records folded by the server, and git's tree of the last commit.

mod compared_state;
mod log;
mod records;
mod trace;

use anyhow::Result;

use crate::client::Client;
use crate::file;
use crate::git::{CommitId, Tree};
use crate::outcome::Outcome;
use crate::output;
use compared_state::{ComparedState, LiveRecord};
pub(crate) use trace::Trace;

/// The name of the device that reads everything back. It has pushed nothing.
const READER_NAME: &str = "tidelog-load: reads everything back";
/// Limit of the differences that are printed of each comparison.
const DIFFERENCES_MAX: usize = 10;

/// What the server has to store.
pub(crate) struct Expected {
    /// The pushed ops.
    pub(crate) pushed: Trace,
    /// The last commit replayed.
    pub(crate) tip: CommitId,
    /// The tree of that commit.
    pub(crate) tree: Tree,
}

/// A rate from a count and the time that it took.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(f64::EPSILON)
}

/// Reads everything back as another device, and compares it with what is expected.
pub(crate) async fn run(client: &Client, key: &str, expected: &Expected) -> Result<Outcome> {
    let token = client.register(key, READER_NAME).await?.token;
    let mut log = log::pull_and_fold(client, &token).await?;
    output::result(
        "events pulled",
        log.events,
        &format!("{} of them the server's own; pages: {}", log.of_server, log.pages),
    )?;
    output::result("events/s pulled", format_args!("{:.0}", per_second(log.events, log.pull_seconds)), "")?;
    output::result("events/s folded here", format_args!("{:.0}", per_second(log.events, log.fold_seconds)), "")?;

    let lag_seconds = records::await_projector(client, &token, log.head).await?;
    output::result("seconds to project", format_args!("{lag_seconds:.2}"), "after the pull")?;
    let served = records::read_all(client, &token, log.head).await?;
    output::result("records read", served.records.len(), &format!("pages: {}", served.pages))?;

    let folded = log.take_live_records();
    let mut differences = log.unexpected_verdicts;
    let records = [
        ComparedState::records("records folded here", &folded)?,
        ComparedState::records("/sync/records", &served.records)?,
    ];
    let trees = [
        ComparedState::tree("tree folded here", tree_of(&folded, &mut differences)),
        ComparedState::tree("tree of /sync/records", tree_of(&served.records, &mut differences)),
        ComparedState::tree("git ls-tree", expected.tree.clone()),
    ];
    output::line("\ncounts and SHA-256 of what has to be the same:")?;
    expected.pushed.print("ops pushed")?;
    log.pulled.print("events pulled")?;
    records.iter().chain(&trees).try_for_each(ComparedState::print)?;
    output::line("")?;

    differences.extend(expected.pushed.differences(&log.pulled, DIFFERENCES_MAX));
    differences.extend(records[0].differences(&records[1], DIFFERENCES_MAX));
    for tree in &trees[..2] {
        differences.extend(tree.differences(&trees[2], DIFFERENCES_MAX));
    }
    if differences.is_empty() {
        output::line(format_args!(
            "identical: the log holds what was pushed, and the records are the tree of commit {}",
            expected.tip.0
        ))?;
        return Ok(Outcome::Identical);
    }
    output::line(format_args!(
        "DIFFERENT: the server does not store what was replayed up to commit {}:",
        expected.tip.0
    ))?;
    differences.iter().try_for_each(|difference| output::line(format_args!("  {difference}")))?;
    Ok(Outcome::Different)
}

/// The tree that records represent. A record that represents no line of a tree is added to the differences.
fn tree_of(records: &[LiveRecord], differences: &mut Vec<String>) -> Tree {
    let line = |live: &LiveRecord| file::tree_line(&live.key.record, &live.fields);
    let lines =
        records.iter().filter_map(|live| line(live).map_err(|error| differences.push(format!("{error:#}"))).ok());
    lines.collect()
}
