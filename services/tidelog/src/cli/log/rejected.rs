//! `tidelog rejected`: lists, shows and readmits rejected ops.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId};
use tidelog_core::judge::{RejectCode, explain};
use tidelog_core::op::Kind;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, PackedFields};
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
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        #[command(flatten)]
        selection: Selection,
    },
    /// Show a rejected op with its fields
    Show {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Position of the op in the log
        position: i64,
    },
    /// Readmit rejected ops that the catalog in force allows, each once
    Readmit {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Positions of the ops in the log
        #[arg(conflicts_with_all = ["all", "code", "table"])]
        positions: Vec<i64>,
        /// Readmit all ops with a code, of one table or of all
        #[arg(long, requires = "code")]
        all: bool,
        #[command(flatten)]
        selection: Selection,
    },
}

#[derive(Args)]
pub(crate) struct Selection {
    /// Only ops that were rejected with this code
    #[arg(long, value_parser = code)]
    code: Option<RejectCode>,
    /// Only ops for this table
    #[arg(long, value_parser = |text: &str| TableName::parse(text))]
    table: Option<TableName>,
}

/// A rejected op, as JSON.
#[derive(Serialize)]
struct RejectedOp {
    position: Position,
    device: DeviceId,
    seq: Seq,
    table: TableName,
    record: RecordId,
    scope: Scope,
    kind: Kind,
    code: &'static str,
    /// What is wrong with it, by the catalog in force.
    detail: String,
    role: Role,
    actor: Actor,
    base: Position,
    at: UnixMs,
    received_at: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Fields>,
    /// Position of the event as which it was readmitted.
    readmitted: Option<Position>,
}

/// What a readmission did with one op, as JSON.
#[derive(Serialize)]
struct ReadmitRow {
    /// Position of the rejected op.
    position: Position,
    /// `readmitted`, `already` (readmitted earlier) or `refused`.
    outcome: &'static str,
    /// Position of the event as which it was readmitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    readmitted: Option<Position>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// What is wrong with it, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Rejected {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { workspace, selection } => {
                let workspace = workspace::find(store, &workspace).await?;
                let catalog = catalog_in_force(store).await?;
                let rows = selection.read_all(store, workspace).await?.into_iter();
                let rows: Vec<_> = rows.map(|rejected| rejected_op(rejected, catalog.as_ref())).collect();
                output.print(&rows, |rows| list_table(rows))
            }
            Self::Show { workspace, position } => {
                let workspace = workspace::find(store, &workspace).await?;
                let catalog = catalog_in_force(store).await?;
                let op = rejected_op(find(store, workspace, Position(position)).await?, catalog.as_ref());
                output.print(&op, details)
            }
            Self::Readmit { workspace, mut positions, all, selection } => {
                let workspace = workspace::find(store, &workspace).await?;
                if positions.is_empty() && !all {
                    bail!("pass positions, which `tidelog rejected list` shows, or --all with --code");
                }
                let mut events = Vec::new();
                positions.sort_unstable();
                positions.dedup();
                for position in positions {
                    events.push(find(store, workspace, Position(position)).await?);
                }
                if all {
                    events = selection.read_all(store, workspace).await?;
                }
                let outcomes = readmit(store, workspace, &events).await?;
                output.print(&outcomes, |outcomes| outcomes_text(outcomes))?;
                match outcomes.iter().any(|one| one.outcome != "refused") {
                    true => Ok(()),
                    false => bail!("no op was readmitted"),
                }
            }
        }
    }
}

impl Selection {
    /// Reads all ops that match, page by page.
    async fn read_all(self, store: &Store, workspace: WorkspaceId) -> anyhow::Result<Vec<RejectedEvent>> {
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

/// Readmits ops in the order of the log, so that their order stays.
async fn readmit(store: &Store, workspace: WorkspaceId, events: &[RejectedEvent]) -> anyhow::Result<Vec<ReadmitRow>> {
    let clock = Runtime::default().clock;
    let mut outcomes = Vec::new();
    for rejected in events {
        let position = rejected.event.position;
        let readmission = store.readmit(workspace, rejected, clock.now()).await;
        let readmission = readmission.with_context(|| {
            let done = outcomes.len();
            format!("stopped at position {position} after {done} ops; those that were readmitted stay readmitted")
        })?;
        let (outcome, readmitted, code) = match readmission {
            ReadmitOutcome::Readmitted(position) => {
                workspace::notify_appended(store, workspace, position).await;
                ("readmitted", Some(position), None)
            }
            ReadmitOutcome::Already(position) => ("already", Some(position), None),
            ReadmitOutcome::Refused(code) => ("refused", None, Some(code)),
            ReadmitOutcome::NotKept => ("refused", None, Some(RejectCode::FieldsTooLarge)),
        };
        let detail = match code {
            Some(code) => Some(detail_of(rejected, code, catalog_in_force(store).await?.as_ref())),
            None => None,
        };
        outcomes.push(ReadmitRow { position, outcome, readmitted, code: code.map(RejectCode::as_str), detail });
    }
    Ok(outcomes)
}

async fn find(store: &Store, workspace: WorkspaceId, position: Position) -> anyhow::Result<RejectedEvent> {
    match store.rejected_at(workspace, position).await? {
        Some(found) => Ok(found),
        None => bail!("there is no rejected op at position {position}: `tidelog rejected list` shows all"),
    }
}

fn code(text: &str) -> anyhow::Result<RejectCode> {
    let codes = RejectCode::ALL.map(RejectCode::as_str).join(", ");
    RejectCode::parse(text).with_context(|| format!("not a code of a rejected op; the codes are {codes}"))
}

async fn catalog_in_force(store: &Store) -> anyhow::Result<Option<Catalog>> {
    Ok(store.catalog_in_force().await?.map(|in_force| in_force.catalog))
}

/// What is wrong with a rejected op by the catalog in force, in a sentence. The log keeps only the code.
fn detail_of(rejected: &RejectedEvent, code: RejectCode, catalog: Option<&Catalog>) -> String {
    let event = &rejected.event;
    let fields = event.intent.fields().map(PackedFields::from);
    let explained = catalog.map(|catalog| explain(catalog, &event.table, fields.as_ref(), code));
    explained.unwrap_or_else(|| code.detail().to_owned())
}

fn rejected_op(rejected: RejectedEvent, catalog: Option<&Catalog>) -> RejectedOp {
    let detail = detail_of(&rejected, rejected.code, catalog);
    let RejectedEvent { event, code, readmitted } = rejected;
    RejectedOp {
        position: event.position,
        device: event.device,
        seq: event.seq,
        kind: event.intent.kind(),
        // Fields that were too large are not stored.
        fields: event.intent.fields().filter(|_| code != RejectCode::FieldsTooLarge).cloned(),
        table: event.table,
        record: event.record,
        scope: event.scope,
        code: code.as_str(),
        detail,
        role: event.role,
        actor: event.actor,
        base: event.base,
        at: event.at,
        received_at: event.received_at,
        readmitted,
    }
}

fn list_table(ops: &[RejectedOp]) -> String {
    let header = ["POSITION", "CODE", "TABLE", "RECORD", "KIND", "DEVICE", "ROLE", "ACTOR", "RECEIVED", "READMITTED"];
    table(
        &header,
        ops.iter().map(|op| {
            [
                op.position.to_string(),
                op.code.to_owned(),
                op.table.to_string(),
                op.record.to_string(),
                kind(op.kind).to_owned(),
                op.device.to_string(),
                op.role.to_string(),
                op.actor.to_string(),
                op.received_at.to_string(),
                op.readmitted.map_or_else(|| "no".to_owned(), |position| format!("at {position}")),
            ]
        }),
    )
}

/// An op with everything that is known of it, for people.
fn details(op: &RejectedOp) -> String {
    let fields = op.fields.as_ref().map_or_else(|| "not stored".to_owned(), to_json);
    let readmitted = op.readmitted.map_or_else(|| "no".to_owned(), |position| format!("as the event at {position}"));
    let lines = [
        ("position", op.position.to_string()),
        ("code", op.code.to_owned()),
        ("why", op.detail.clone()),
        ("table", op.table.to_string()),
        ("record", op.record.to_string()),
        ("scope", op.scope.to_string()),
        ("kind", kind(op.kind).to_owned()),
        ("device", format!("{}, its op {}", op.device, op.seq)),
        ("role", op.role.to_string()),
        ("actor", op.actor.to_string()),
        ("base", op.base.to_string()),
        ("made at", op.at.to_string()),
        ("received at", op.received_at.to_string()),
        ("fields", fields),
        ("readmitted", readmitted),
    ];
    table(&["", ""], lines.map(|(name, value)| [name.to_owned(), value]))
}

/// The outcomes and their counts, for people.
fn outcomes_text(outcomes: &[ReadmitRow]) -> String {
    let count = |outcome: &str| outcomes.iter().filter(|one| one.outcome == outcome).count();
    let rows = outcomes.iter().map(|outcome| {
        let readmitted = outcome.readmitted.map(|position| format!("at {position}"));
        let refused = outcome.code.zip(outcome.detail.as_ref()).map(|(code, detail)| format!("{code}: {detail}"));
        [outcome.position.to_string(), outcome.outcome.to_owned(), readmitted.or(refused).unwrap_or_default()]
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

fn to_json(value: &impl Serialize) -> String {
    // Every value has a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}
