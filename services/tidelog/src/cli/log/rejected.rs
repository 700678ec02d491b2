//! `tidelog rejected`

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Kind;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tidelog_gateway::Runtime;
use tidelog_postgres::{ReadmitOutcome, RejectedEvent, RejectedFilter, Store};

use crate::cli::accounts::workspace;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Rejected {
    /// List the rejected ops of a workspace
    List {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        #[command(flatten)]
        which: Which,
    },
    /// Show one with its fields
    Show {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        /// Its position in the log
        position: i64,
    },
    /// Give some a second chance under the catalog in force, each once
    Readmit {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        /// Their positions in the log
        #[arg(conflicts_with_all = ["all", "code", "table"])]
        positions: Vec<i64>,
        /// All of a code, and a table if one is given
        #[arg(long, requires = "code")]
        all: bool,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
pub(crate) struct Which {
    /// Only those rejected with this code
    #[arg(long, value_parser = code)]
    code: Option<RejectCode>,
    /// Only those of this table
    #[arg(long, value_parser = |text: &str| TableName::parse(text))]
    table: Option<TableName>,
}

/// A rejected op, for programs.
#[derive(Serialize)]
struct Row {
    position: Position,
    device: DeviceId,
    seq: Seq,
    table: TableName,
    record: RecordId,
    scope: Scope,
    kind: Kind,
    code: &'static str,
    role: Role,
    actor: Actor,
    base: Position,
    at: UnixMs,
    received_at: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Fields>,
    readmitted: Option<Position>,
}

/// What became of one.
#[derive(Serialize)]
struct Outcome {
    position: Position,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    readmitted: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl Rejected {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { workspace, which } => {
                let workspace = workspace::find(store, &workspace).await?;
                let rows: Vec<_> = which.all(store, workspace).await?.into_iter().map(row).collect();
                output.answer(&rows, |rows| listed(rows))
            }
            Self::Show { workspace, position } => {
                let workspace = workspace::find(store, &workspace).await?;
                let found = row(find(store, workspace, Position(position)).await?);
                output.answer(&found, shown)
            }
            Self::Readmit { workspace, mut positions, all, which } => {
                let workspace = workspace::find(store, &workspace).await?;
                if positions.is_empty() && !all {
                    bail!("name the positions of some, or --all with --code: `tidelog rejected list` shows them");
                }
                let mut events = Vec::new();
                positions.sort_unstable();
                positions.dedup();
                for position in positions {
                    events.push(find(store, workspace, Position(position)).await?);
                }
                if all {
                    events = which.all(store, workspace).await?;
                }
                let outcomes = readmit(store, workspace, &events).await?;
                output.answer(&outcomes, |outcomes| told(outcomes))
            }
        }
    }
}

impl Which {
    async fn all(self, store: &Store, workspace: WorkspaceId) -> anyhow::Result<Vec<RejectedEvent>> {
        let filter = RejectedFilter { code: self.code, table: self.table };
        let (mut events, mut after) = (Vec::new(), Some(Position::START));
        while let Some(from) = after {
            let page = store.rejected(workspace, from, &filter).await?;
            events.extend(page.events);
            after = page.next;
        }
        Ok(events)
    }
}

/// In the order of the log, so that what was written later is later again.
async fn readmit(store: &Store, workspace: WorkspaceId, events: &[RejectedEvent]) -> anyhow::Result<Vec<Outcome>> {
    let clock = Runtime::default().clock;
    let mut outcomes = Vec::new();
    for rejected in events {
        let position = rejected.event.position;
        let readmission = store.readmit(workspace, rejected, clock.now()).await;
        let readmission = readmission.with_context(|| {
            let done = outcomes.len();
            format!("at position {position}, after {done} others; those that were readmitted stay so")
        })?;
        let (outcome, readmitted, code) = match readmission {
            ReadmitOutcome::Readmitted(position) => {
                workspace::tell_grown(store, workspace, position).await;
                ("readmitted", Some(position), None)
            }
            ReadmitOutcome::Already(position) => ("already", Some(position), None),
            ReadmitOutcome::Refused(code) => ("refused", None, Some(code.as_str())),
            ReadmitOutcome::NotKept => ("refused", None, Some(RejectCode::FieldsTooLarge.as_str())),
        };
        outcomes.push(Outcome { position, outcome, readmitted, code });
    }
    Ok(outcomes)
}

async fn find(store: &Store, workspace: WorkspaceId, position: Position) -> anyhow::Result<RejectedEvent> {
    match store.rejected_at(workspace, position).await? {
        Some(found) => Ok(found),
        None => bail!("there is no rejected op at position {position}: `tidelog rejected list` shows them"),
    }
}

fn code(text: &str) -> anyhow::Result<RejectCode> {
    let codes = RejectCode::ALL.map(RejectCode::as_str).join(", ");
    RejectCode::parse(text).with_context(|| format!("no code of a rejected op: one of {codes}"))
}

fn row(rejected: RejectedEvent) -> Row {
    let RejectedEvent { event, code, readmitted } = rejected;
    Row {
        position: event.position,
        device: event.device,
        seq: event.seq,
        kind: event.intent.kind(),
        // Those that were too large are gone.
        fields: event.intent.fields().filter(|_| code != RejectCode::FieldsTooLarge).cloned(),
        table: event.table,
        record: event.record,
        scope: event.scope,
        code: code.as_str(),
        role: event.role,
        actor: event.actor,
        base: event.base,
        at: event.at,
        received_at: event.received_at,
        readmitted,
    }
}

fn listed(rows: &[Row]) -> String {
    let head = ["POSITION", "CODE", "TABLE", "RECORD", "KIND", "DEVICE", "ROLE", "ACTOR", "RECEIVED", "READMITTED"];
    table(
        &head,
        rows.iter().map(|row| {
            [
                row.position.to_string(),
                row.code.to_owned(),
                row.table.to_string(),
                row.record.to_string(),
                kind(row.kind).to_owned(),
                row.device.to_string(),
                row.role.to_string(),
                row.actor.to_string(),
                row.received_at.to_string(),
                row.readmitted.map_or_else(|| "no".to_owned(), |position| format!("at {position}")),
            ]
        }),
    )
}

fn shown(row: &Row) -> String {
    let fields = row.fields.as_ref().map_or_else(|| "none kept".to_owned(), in_json);
    let readmitted = row.readmitted.map_or_else(|| "no".to_owned(), |position| format!("as the event at {position}"));
    let lines = [
        ("position", row.position.to_string()),
        ("code", row.code.to_owned()),
        ("table", row.table.to_string()),
        ("record", row.record.to_string()),
        ("scope", row.scope.to_string()),
        ("kind", kind(row.kind).to_owned()),
        ("device", format!("{}, its op {}", row.device, row.seq)),
        ("role", row.role.to_string()),
        ("actor", row.actor.to_string()),
        ("base", row.base.to_string()),
        ("made at", row.at.to_string()),
        ("received at", row.received_at.to_string()),
        ("fields", fields),
        ("readmitted", readmitted),
    ];
    table(&["", ""], lines.map(|(name, value)| [name.to_owned(), value]))
}

fn told(outcomes: &[Outcome]) -> String {
    let count = |outcome: &str| outcomes.iter().filter(|told| told.outcome == outcome).count();
    let rows = outcomes.iter().map(|told| {
        let readmitted = told.readmitted.map(|position| format!("at {position}"));
        [
            told.position.to_string(),
            told.outcome.to_owned(),
            readmitted.or(told.code.map(str::to_owned)).unwrap_or_default(),
        ]
    });
    let rows = table(&["POSITION", "OUTCOME", ""], rows);
    let [readmitted, already, refused] = ["readmitted", "already", "refused"].map(count);
    format!("{rows}\n{readmitted} readmitted, {already} had been, {refused} refused")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Put => "put",
        Kind::Delete => "delete",
        Kind::Resolve => "resolve",
    }
}

fn in_json(value: &impl Serialize) -> String {
    // Every value has a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}
