//! `tidelog conflicts`: lists, shows and resolves conflicts.

mod find;
mod resolve;

use anyhow::Context;
use clap::{Args, Subcommand};
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::ConflictId;
use tidelog_core::wire::{AuthoredEvent, ConflictView, ConflictsResponse, SideView};
use tidelog_postgres::{ConflictOrder, ConflictPlace, ConflictsQuery, EventFilter, Store};

use crate::cli::accounts::workspace;
use crate::cli::conflict::find::find;
use crate::cli::conflict::resolve::Resolve;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

/// Size limit of the values that one list holds, in bytes; the same as for a page of the API.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Characters of a value that a list shows.
const CELL_CHARS_MAX: usize = 40;

#[derive(Subcommand)]
pub(crate) enum Conflicts {
    /// List conflicts: every value that lost, with what it lost to
    List(List),
    /// Show a conflict with its two sides
    Show {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Id of the conflict, such as `41.status`
        conflict: String,
    },
    /// Settle an open conflict, or restore a value that lost to a rule
    Resolve(Resolve),
}

#[derive(Args)]
pub(crate) struct List {
    /// Id or name of the workspace
    #[arg(long)]
    workspace: String,
    /// Only conflicts with this status: open, resolved, overtaken or automatic
    #[arg(long)]
    status: Option<String>,
    /// Only conflicts in this table
    #[arg(long)]
    table: Option<String>,
    /// Only conflicts of records with this id
    #[arg(long)]
    record: Option<String>,
    /// Only conflicts of records in this scope
    #[arg(long)]
    scope: Option<String>,
    /// Start after this conflict, to get the next page of a list
    #[arg(long, value_name = "CONFLICT")]
    after: Option<String>,
    /// Maximum number of conflicts to list
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

impl Conflicts {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store, output).await,
            Self::Show { workspace, conflict } => {
                let workspace = workspace::find(store, &workspace).await?;
                output.print(&find(store, workspace, &conflict).await?, details)
            }
            Self::Resolve(resolve) => resolve.run(store, output).await,
        }
    }
}

impl List {
    async fn run(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        let workspace = workspace::find(store, &self.workspace).await?;
        let status = self.status.as_deref().map(|status| {
            ConflictStatus::parse(status).context("--status must be open, resolved, overtaken or automatic")
        });
        let (status, limit) = (status.transpose()?, self.limit.max(1));
        let (table_name, record) = (self.table.map(tidelog_core::ids::TableName::parse), self.record);
        let mut query = ConflictsQuery {
            order: ConflictOrder::Made,
            after: self.after.map(ConflictId::parse).transpose()?.as_ref().and_then(ConflictPlace::of),
            filter: &EventFilter::all(),
            status,
            table: table_name.transpose()?,
            record: record.map(tidelog_core::ids::RecordId::parse).transpose()?,
            scope: self.scope.map(tidelog_core::ids::Scope::parse).transpose()?,
            limit,
            bytes: PAGE_BYTES_MAX,
        };
        let mut page = store.conflicts(workspace, &query).await?;
        // A page whose conflicts the filter has all left out is empty, and more may follow.
        while page.conflicts.is_empty() && page.more {
            query.after = page.last;
            page = store.conflicts(workspace, &query).await?;
        }
        let cursor = page.last.map(|last| last.conflict().to_string());
        let list = ConflictsResponse { conflicts: page.conflicts, cursor, more: page.more };
        let header = ["CONFLICT", "STATUS", "RULE", "RECORD", "WINNER", "LOSER", "LOST BY"];
        output.print(&list, |list| {
            let rows = table(&header, list.conflicts.iter().map(conflict_cells));
            match &list.cursor {
                Some(cursor) if list.more => format!("{rows}there are more: list them with --after '{cursor}'"),
                _ => rows,
            }
        })
    }
}

fn conflict_cells(view: &ConflictView) -> [String; 7] {
    [
        view.conflict.to_string(),
        view.status.clone(),
        view.rule.clone(),
        address(view),
        view.winner.as_ref().map_or_else(|| "-".to_owned(), |side| truncated(value_of(side))),
        truncated(value_of(&view.loser)),
        author(&view.loser.event),
    ]
}

/// A conflict and its two sides, for people.
fn details(view: &ConflictView) -> String {
    let winner = |cell: fn(&SideView) -> String| view.winner.as_ref().map_or_else(|| "-".to_owned(), cell);
    let row = |name: &str, cell: fn(&SideView) -> String| [name.to_owned(), winner(cell), cell(&view.loser)];
    let rows = [
        row("value", value_of),
        row("by", |side| author(&side.event)),
        row("role", |side| side.event.role.to_string()),
        row("made at", |side| side.event.at.to_string()),
        row("position", |side| side.event.position.to_string()),
    ];
    let closed = view.resolved_by.map_or_else(String::new, |by| format!(" by the event at {by}"));
    let field = if view.field.is_empty() { "the record" } else { &view.field };
    let summary = [
        ["conflict".to_owned(), view.conflict.to_string()],
        ["record".to_owned(), address(view)],
        ["field".to_owned(), field.to_owned()],
        ["rule".to_owned(), view.rule.clone()],
        ["status".to_owned(), format!("{}{closed}", view.status)],
    ];
    let beaten_by = view.beaten_by.as_ref();
    let beaten_by = beaten_by.map(|event| ["beaten by".to_owned(), format!("{} at {}", author(event), event.position)]);
    let summary = summary.into_iter().chain(beaten_by);
    format!("{}\n{}", table(&["", ""], summary), table(&["", "WINNER", "LOSER"], rows))
}

fn address(view: &ConflictView) -> String {
    let scope = if view.scope.is_everyones() { String::new() } else { format!(" ({})", view.scope) };
    format!("{}/{}{scope}", view.table, view.record)
}

/// Who made the op, as far as is known, and on which device.
fn author(event: &AuthoredEvent) -> String {
    match event.actor.is_nobody() {
        true => event.device.to_string(),
        false => format!("{} on {}", event.actor, event.device),
    }
}

/// The value of a side as JSON.
fn value_of(side: &SideView) -> String {
    match &side.value {
        Some(value) => serde_json::to_string(value).unwrap_or_default(),
        None if side.deleted => "deleted".to_owned(),
        None => "-".to_owned(),
    }
}

fn truncated(text: String) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
