//! `tidelog conflicts resolve`: appends a choice, and prints what became of it when it was folded.

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

/// How often the checkpoint is read while waiting for the choice to be folded.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The longest `--wait`, in seconds.
const WAIT_SECONDS_MAX: u64 = 3_600;

#[derive(Args)]
pub(crate) struct Resolve {
    /// Id or name of the workspace
    #[arg(long)]
    workspace: String,
    /// Id of the conflict, such as `41.status`
    conflict: String,
    /// Keep the value that won, or restore the one that lost
    #[arg(long, value_name = "SIDE", required_unless_present = "value")]
    choose: Option<ChosenSide>,
    /// Set this value, given as JSON, instead of either side
    #[arg(long, value_name = "JSON", conflicts_with = "choose")]
    value: Option<String>,
    /// Who decides, to be recorded with the choice
    #[arg(long, value_name = "TEXT", default_value = "operator")]
    actor: String,
    /// How long to wait for the choice to be folded; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=WAIT_SECONDS_MAX))]
    wait: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ChosenSide {
    Winner,
    Loser,
}

/// What became of a choice, as JSON.
#[derive(Serialize)]
struct ResolveResult {
    conflict: ConflictId,
    /// Position of the event that holds the choice.
    position: Position,
    /// Seq of that event, as of the system device.
    seq: Seq,
    /// Verdict of that event; `pending` if it is not folded yet.
    verdict: Verdict,
    /// The conflicts that the choice itself met.
    conflicts: Vec<ConflictId>,
    /// Status of the conflict it names, as far as the log is folded.
    status: String,
    /// Position of the event that resolved the conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_by: Option<Position>,
}

impl Resolve {
    pub(crate) async fn run(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        let workspace = workspace::find(store, &self.workspace).await?;
        let conflict = find(store, workspace, &self.conflict).await?.conflict;
        let (position, seq) = append(store, workspace, &conflict, self.choice()?, &self.actor).await?;
        let wait = Duration::from_secs(self.wait);
        let result = wait_for_verdict(store, workspace, conflict, position, seq, wait).await;
        let result = result.with_context(|| {
            format!("the choice is stored at position {position}, but what became of it could not be read")
        })?;
        output.print(&result, sentence)
    }

    fn choice(&self) -> anyhow::Result<Choice> {
        match (self.choose, &self.value) {
            (Some(ChosenSide::Winner), _) => Ok(Choice::Winner),
            (Some(ChosenSide::Loser), _) => Ok(Choice::Loser),
            (None, Some(value)) => Ok(Choice::Value(serde_json::from_str(value).context("--value must be JSON")?)),
            (None, None) => bail!("pass either --choose or --value"),
        }
    }
}

/// Appends the choice to the log, as an op of the system device. Returns its position and seq.
async fn append(
    store: &Store,
    workspace: WorkspaceId,
    conflict: &ConflictId,
    choice: Choice,
    actor: &str,
) -> anyhow::Result<(Position, Seq)> {
    let author = ResolveAuthor { role: Role::system(), scopes: None, actor: Actor::parse(actor)? };
    match store.resolve(workspace, conflict, choice, author, Runtime::default().clock.now()).await? {
        ResolveOutcome::Appended { position, seq } => Ok((position, seq)),
        ResolveOutcome::Closed(status) => {
            bail!("conflict {conflict} is {} already: `tidelog conflicts show` shows what closed it", status.as_str())
        }
        ResolveOutcome::NoValue => bail!("the conflict is about a whole record, which has no value: pass --choose"),
        ResolveOutcome::Rejected(code) => bail!(
            "the catalog in force rejects this choice ({code}: {}): choose another value, or change the catalog",
            code.detail()
        ),
        ResolveOutcome::Unknown => {
            bail!("conflict {conflict} is no longer there: `tidelog conflicts list` shows the conflicts")
        }
    }
}

/// Wakes the projectors, waits until one has folded the choice, and reads its verdict.
async fn wait_for_verdict(
    store: &Store,
    workspace: WorkspaceId,
    conflict: ConflictId,
    position: Position,
    seq: Seq,
    wait: Duration,
) -> anyhow::Result<ResolveResult> {
    let deadline = Instant::now() + wait;
    workspace::notify_appended(store, workspace, position).await;
    let projected = loop {
        let checkpoint = store.checkpoint(workspace).await?.context("the workspace no longer exists")?;
        if checkpoint.position >= position || Instant::now() >= deadline {
            break checkpoint.position;
        }
        sleep(POLL_INTERVAL).await;
    };
    let (verdict, conflicts) = store.verdict(workspace, position, projected).await?;
    let row = find(store, workspace, &conflict.to_string()).await?;
    Ok(ResolveResult { conflict, position, seq, verdict, conflicts, status: row.status, resolved_by: row.resolved_by })
}

/// The result as a sentence for people.
fn sentence(result: &ResolveResult) -> String {
    let ResolveResult { conflict, position, verdict, status, .. } = result;
    if *verdict == Verdict::Pending {
        return format!(
            "the choice is stored at position {position}, but not folded yet: is a projector running? `tidelog conflicts \
             show {conflict}` shows when the conflict is resolved"
        );
    }
    let settled = match result.resolved_by {
        Some(by) if by == *position => format!("resolved {conflict} by the event at {position}"),
        Some(by) => format!("{conflict} is {status} by the event at {by}, not by this choice at {position}"),
        None => format!("{conflict} is {status}; this choice at {position} did not settle it"),
    };
    let conflicts: Vec<_> = result.conflicts.iter().map(ToString::to_string).collect();
    match (verdict, conflicts.is_empty()) {
        (Verdict::Applied, true) => settled,
        (_, true) => format!("{settled}; the verdict of the choice is {}", verdict.as_str()),
        (_, false) => {
            format!("{settled}; the verdict of the choice is {}, see {}", verdict.as_str(), conflicts.join(", "))
        }
    }
}
