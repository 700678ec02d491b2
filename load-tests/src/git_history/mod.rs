//! `git-history`: replays the history of a git repository as a sync workload.
//!
//! Each author is a device, each commit a batch of its author's device, each path a record of the table `files`. The base
//! of a commit is the last position of its first parent, which its author had seen. So no ops are concurrent, and the
//! records have to equal git's own tree of the last commit.

mod author;
mod pushes;
mod replay;
mod tally;
mod text;

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::args::HistoryArgs;
use crate::client::Client;
use crate::git::{CommitId, Repository};
use crate::outcome::Outcome;
use crate::output;
use crate::verify::{self, Expected};
use replay::Replay;
use tally::Tally;

/// Replays a history against a server, and compares the result.
pub(crate) async fn run(args: &HistoryArgs, server: &str, key: &str) -> Result<Outcome> {
    let repository = Repository::at(&args.path);
    let client = Client::new(server, args.encoding.into())?;
    let head = repository.head()?;
    let commits_max = args.max_commits.map_or(usize::MAX, |commits| commits.get());
    let commits = repository.count_first_parents(&head)?.min(u64::try_from(commits_max)?);
    output::line(format_args!("replaying {commits} commits of {} into {server}", args.path.display()))?;

    let progress = output::progress_bar("commits", commits);
    let started = Instant::now();
    let mut replay = Replay::new(&client, key);
    let mut history = repository.history(&head)?.stream(commits_max);
    let mut tip: Option<CommitId> = None;
    while let Some(commit) = history.recv().await {
        let commit = commit?;
        replay.push_commit(&commit).await.with_context(|| format!("commit {}", commit.id.short()))?;
        tip = Some(commit.id);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let tip = tip.context("the history is empty")?;
    let (tally, pushed) = replay.finish();
    ensure!(tally.commits == commits, "git log has {} commits, git rev-list counted {commits}", tally.commits);
    print_report(&tally, &client, started.elapsed().as_secs_f64())?;

    let tree = repository.tree(&tip)?;
    let expected = Expected { pushed, tip, tree };
    verify::run(&client, key, &expected).await
}

fn print_report(tally: &Tally, client: &Client, seconds: f64) -> Result<()> {
    output::result("commits", tally.commits, "")?;
    output::result("authors, devices", tally.devices, "")?;
    output::result("batches pushed", tally.batches, "")?;
    output::result("ops pushed", tally.ops(), &format!("{} puts, {} deletes", tally.puts, tally.deletes))?;
    output::result("seconds", format_args!("{seconds:.2}"), "")?;
    output::result("ops/s pushed", format_args!("{:.0}", verify::per_second(tally.ops(), seconds)), "")?;
    output::result("batches/s pushed", format_args!("{:.0}", verify::per_second(tally.batches, seconds)), "")?;
    output::result("MiB pushed", format_args!("{:.1}", tally.bytes as f64 / f64::from(1 << 20)), "")?;
    output::result(
        "calls repeated",
        client.retries(),
        &format!("{} repeated ops were stored already", tally.duplicates),
    )?;
    for (name, occurrences) in [
        ("commits split", &tally.split),
        ("commits empty", &tally.empty),
        ("paths escaped", &tally.escaped),
        ("texts changed", &tally.changed_texts),
    ] {
        output::result(name, occurrences.count(), &occurrences.examples())?;
    }
    Ok(())
}
