//! Compares what a server holds with what was pushed: the log op by op, and its state from three sides, which are the
//! records folded here from the pulled log, the records the server folded, and the tree they should make.

mod log;
mod records;
mod side;
mod trace;

use anyhow::Result;

use crate::client::Client;
use crate::file;
use crate::git::{CommitId, Tree};
use crate::outcome::Outcome;
use crate::output;
use side::{LiveRecord, Side};
pub(crate) use trace::Trace;

/// The name of the device that was not there.
const LATECOMER: &str = "tidelog-load: a device that was not there";
/// Differences printed of each comparison.
const DIFFERENCES_MAX: usize = 10;

/// What has to come out.
pub(crate) struct Expected {
    /// The ops pushed.
    pub(crate) pushed: Trace,
    /// The last commit replayed.
    pub(crate) tip: CommitId,
    /// Its tree.
    pub(crate) tree: Tree,
}

/// So many in so much time.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(f64::EPSILON)
}

/// Reads everything as a device that was not there, and compares.
pub(crate) async fn run(client: &Client, key: &str, expected: &Expected) -> Result<Outcome> {
    let token = client.register(key, LATECOMER).await?.token;
    let mut log = log::pull_and_fold(client, &token).await?;
    output::result("events pulled", log.events, &format!("in {} pages, {} of the catalog", log.pages, log.catalogs))?;
    output::result("events/s pulled", format_args!("{:.0}", per_second(log.events, log.pull_seconds)), "")?;
    output::result("events/s folded here", format_args!("{:.0}", per_second(log.events, log.fold_seconds)), "")?;

    let lag_seconds = records::await_projector(client, &token, log.head).await?;
    output::result("seconds to project", format_args!("{lag_seconds:.2}"), "after the pull")?;
    let served = records::read_all(client, &token, log.head).await?;
    output::result("records read", served.records.len(), &format!("in {} pages", served.pages))?;

    let folded = log.take_live_records();
    let mut different = log.surprises;
    let records = [Side::records("records folded here", &folded)?, Side::records("/sync/records", &served.records)?];
    let trees = [
        Side::tree("tree folded here", tree_of(&folded, &mut different)),
        Side::tree("tree of /sync/records", tree_of(&served.records, &mut different)),
        Side::tree("git ls-tree", expected.tree.clone()),
    ];
    output::line("")?;
    expected.pushed.print("ops pushed")?;
    log.pulled.print("events pulled")?;
    records.iter().chain(&trees).try_for_each(Side::print)?;
    output::line("")?;

    different.extend(expected.pushed.differences(&log.pulled, DIFFERENCES_MAX));
    different.extend(records[0].differences(&records[1], DIFFERENCES_MAX));
    for tree in &trees[..2] {
        different.extend(tree.differences(&trees[2], DIFFERENCES_MAX));
    }
    if different.is_empty() {
        output::line(format_args!(
            "identical: the log is what was pushed, the records are the tree of commit {}",
            expected.tip.0
        ))?;
        return Ok(Outcome::Identical);
    }
    output::line(format_args!("DIFFERENT from what was replayed up to commit {}:", expected.tip.0))?;
    different.iter().try_for_each(|difference| output::line(format_args!("  {difference}")))?;
    Ok(Outcome::Different)
}

/// The tree that records make; a record that makes no line of it is told.
fn tree_of(records: &[LiveRecord], different: &mut Vec<String>) -> Tree {
    let line = |live: &LiveRecord| file::tree_line(&live.key.record, &live.fields);
    let lines = records.iter().filter_map(|live| line(live).map_err(|error| different.push(format!("{error:#}"))).ok());
    lines.collect()
}
