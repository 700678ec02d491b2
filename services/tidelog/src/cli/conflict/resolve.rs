//! `tidelog conflicts resolve`: appends a choice, and tells what the fold makes of it.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tidelog_core::ids::{Actor, ConflictId, Position, Role, Seq, WorkspaceId};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::Choice;
use tidelog_gateway::Runtime;
use tidelog_postgres::{ResolveAuthor, ResolveOutcome, Store};
use tokio::time::{Instant, sleep};

use crate::cli::accounts::workspace;
use crate::cli::conflict::find::find;
use crate::cli::output::Output;

/// How often it is looked how far the log is folded.
const LOOK: Duration = Duration::from_millis(50);
/// The longest wait, in seconds.
const WAIT_MAX: u64 = 3_600;

#[derive(Args)]
pub(crate) struct Resolve {
    /// The workspace, by id or name
    #[arg(long)]
    workspace: String,
    /// The conflict's id, like `41.status`
    conflict: String,
    /// Keep what stands now, or restore what lost
    #[arg(long, value_name = "SIDE", required_unless_present = "value")]
    choose: Option<Side>,
    /// Set neither of both but this, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "choose")]
    value: Option<String>,
    /// Who decides, for the log
    #[arg(long, value_name = "TEXT", default_value = "operator")]
    actor: String,
    /// How long to wait for what becomes of it; 0 looks once
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=WAIT_MAX))]
    wait: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Side {
    Winner,
    Loser,
}

/// What became of a choice, for programs.
#[derive(Serialize)]
struct Told {
    conflict: ConflictId,
    position: Position,
    seq: Seq,
    /// `pending` if it is not folded yet.
    verdict: Verdict,
    /// The conflicts that it made.
    conflicts: Vec<ConflictId>,
    /// Of the conflict it names, as far as the log is folded.
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_by: Option<Position>,
}

impl Resolve {
    pub(crate) async fn run(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        let workspace = workspace::find(store, &self.workspace).await?;
        let conflict = find(store, workspace, &self.conflict).await?.conflict;
        let (position, seq) = append(store, workspace, &conflict, self.choice()?, &self.actor).await?;
        let told = wait_for(store, workspace, (conflict, position, seq), Duration::from_secs(self.wait)).await;
        let told =
            told.with_context(|| format!("the choice is in the log at {position}, what became of it is unknown"))?;
        output.answer(&told, shown)
    }

    fn choice(&self) -> anyhow::Result<Choice> {
        match (self.choose, &self.value) {
            (Some(Side::Winner), _) => Ok(Choice::Winner),
            (Some(Side::Loser), _) => Ok(Choice::Loser),
            (None, Some(value)) => Ok(Choice::Value(serde_json::from_str(value).context("--value is JSON")?)),
            (None, None) => bail!("give either --choose or --value"),
        }
    }
}

/// Puts the choice into the log.
async fn append(
    store: &Store,
    workspace: WorkspaceId,
    conflict: &ConflictId,
    choice: Choice,
    actor: &str,
) -> anyhow::Result<(Position, Seq)> {
    let who = ResolveAuthor { role: Role::system(), scopes: None, actor: Actor::parse(actor)? };
    match store.resolve(workspace, conflict, choice, who, Runtime::default().clock.now()).await? {
        ResolveOutcome::Appended { position, seq } => Ok((position, seq)),
        ResolveOutcome::Closed(status) => bail!("conflict {conflict} is {} already", status.as_str()),
        ResolveOutcome::NoValue => bail!("a delete that lost has no value: give --choose"),
        ResolveOutcome::Rejected(code) => bail!("the catalog would reject it: {code}, {}", code.detail()),
        ResolveOutcome::Unknown => bail!("there is no conflict {conflict} here any more"),
    }
}

/// Tells the projectors, and waits until one has folded it.
async fn wait_for(
    store: &Store,
    workspace: WorkspaceId,
    (conflict, position, seq): (ConflictId, Position, Seq),
    wait: Duration,
) -> anyhow::Result<Told> {
    let deadline = Instant::now() + wait;
    workspace::tell_grown(store, workspace, position).await;
    let projected = loop {
        let checkpoint = store.checkpoint(workspace).await?.context("the workspace is gone")?;
        if checkpoint.position >= position || Instant::now() >= deadline {
            break checkpoint.position;
        }
        sleep(LOOK).await;
    };
    let (verdict, conflicts) = store.verdict(workspace, position, projected).await?;
    let row = find(store, workspace, &conflict.to_string()).await?;
    Ok(Told { conflict, position, seq, verdict, conflicts, status: row.status, resolved_by: row.resolved_by })
}

fn shown(told: &Told) -> String {
    let Told { conflict, position, verdict, status, .. } = told;
    if *verdict == Verdict::Pending {
        return format!(
            "the choice is in the log at {position}, and not folded yet: is a projector running? `tidelog conflicts show` \
             tells when {conflict} is resolved"
        );
    }
    let settled = match told.resolved_by {
        Some(by) if by == *position => format!("resolved {conflict} by the event at {position}"),
        Some(by) => format!("{conflict} is {status} by the event at {by}, not by this choice at {position}"),
        None => format!("{conflict} is {status}, this choice at {position} did not settle it"),
    };
    let rows: Vec<_> = told.conflicts.iter().map(ToString::to_string).collect();
    match (verdict, rows.is_empty()) {
        (Verdict::Applied, true) => settled,
        (_, true) => format!("{settled}; the choice is {}", verdict.as_str()),
        (_, false) => format!("{settled}; the choice is {}, see {}", verdict.as_str(), rows.join(", ")),
    }
}
