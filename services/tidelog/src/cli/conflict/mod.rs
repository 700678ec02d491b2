//! `tidelog conflicts`

mod find;
mod resolve;

use anyhow::Context;
use clap::{Args, Subcommand};
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::ConflictId;
use tidelog_core::wire::{ConflictView, ConflictsResponse, SideView};
use tidelog_postgres::{ConflictsQuery, EventFilter, Store};

use crate::cli::accounts::workspace;
use crate::cli::conflict::find::find;
use crate::cli::conflict::resolve::Resolve;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

/// Bytes of values that one answer holds, as a page of the API.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Characters of a value in a list.
const SHORT: usize = 40;

#[derive(Subcommand)]
pub(crate) enum Conflicts {
    /// List the conflicts: every value that lost, with what it lost to
    List(List),
    /// Show both versions side by side
    Show {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        /// The conflict's id, like `41.status`
        conflict: String,
    },
    /// Settle an open conflict, or restore what lost to a rule
    Resolve(Resolve),
}

#[derive(Args)]
pub(crate) struct List {
    /// The workspace, by id or name
    #[arg(long)]
    workspace: String,
    /// Only of this status: open, resolved, overtaken or automatic
    #[arg(long)]
    status: Option<String>,
    /// Only of this table
    #[arg(long)]
    table: Option<String>,
    /// Only of records of this id
    #[arg(long)]
    record: Option<String>,
    /// Only of this scope
    #[arg(long)]
    scope: Option<String>,
    /// Go on after this conflict
    #[arg(long, value_name = "CONFLICT")]
    after: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 100)]
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
                output.answer(&find(store, workspace, &conflict).await?, side_by_side)
            }
            Self::Resolve(resolve) => resolve.run(store, output).await,
        }
    }
}

impl List {
    async fn run(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        let workspace = workspace::find(store, &self.workspace).await?;
        let status = self
            .status
            .as_deref()
            .map(|status| ConflictStatus::parse(status).context("--status is open, resolved, overtaken or automatic"));
        let (status, limit) = (status.transpose()?, self.limit.max(1));
        let (table_name, record) = (self.table.map(tidelog_core::ids::TableName::parse), self.record);
        let mut query = ConflictsQuery {
            after: self.after.map(ConflictId::parse).transpose()?,
            filter: &EventFilter::all(),
            status,
            table: table_name.transpose()?,
            record: record.map(tidelog_core::ids::RecordId::parse).transpose()?,
            scope: self.scope.map(tidelog_core::ids::Scope::parse).transpose()?,
            limit,
            bytes: BYTES_MAX,
        };
        let mut page = store.conflicts(workspace, &query).await?;
        // What a filter passes over comes as empty pages.
        while page.conflicts.is_empty() && page.more {
            query.after = page.last;
            page = store.conflicts(workspace, &query).await?;
        }
        let cursor = page.last.map(|last| last.to_string());
        let list = ConflictsResponse { conflicts: page.conflicts, cursor, more: page.more };
        let head = ["CONFLICT", "STATUS", "RULE", "RECORD", "WINNER", "LOSER", "LOST BY"];
        output.answer(&list, |list| {
            let rows = table(&head, list.conflicts.iter().map(cells));
            match &list.cursor {
                Some(cursor) if list.more => format!("{rows}There are more: --after '{cursor}'"),
                _ => rows,
            }
        })
    }
}

fn cells(view: &ConflictView) -> [String; 7] {
    [
        view.conflict.to_string(),
        view.status.clone(),
        view.rule.clone(),
        address(view),
        view.winner.as_ref().map_or_else(|| "-".to_owned(), |side| short(value_of(side))),
        short(value_of(&view.loser)),
        who(&view.loser),
    ]
}

fn side_by_side(view: &ConflictView) -> String {
    let winner = |of: fn(&SideView) -> String| view.winner.as_ref().map_or_else(|| "-".to_owned(), of);
    let row = |what: &str, of: fn(&SideView) -> String| [what.to_owned(), winner(of), of(&view.loser)];
    let rows = [
        row("value", value_of),
        row("by", who),
        row("role", |side| side.role.to_string()),
        row("made at", |side| side.at.to_string()),
        row("position", |side| side.position.to_string()),
    ];
    let closed = view.resolved_by.map_or_else(String::new, |by| format!(" by the event at {by}"));
    let field = if view.field.is_empty() { "the record" } else { &view.field };
    let about = [
        ["conflict".to_owned(), view.conflict.to_string()],
        ["record".to_owned(), address(view)],
        ["field".to_owned(), field.to_owned()],
        ["rule".to_owned(), view.rule.clone()],
        ["status".to_owned(), format!("{}{closed}", view.status)],
    ];
    format!("{}\n{}", table(&["", ""], about), table(&["", "WINNER", "LOSER"], rows))
}

fn address(view: &ConflictView) -> String {
    let scope = if view.scope.is_everyones() { String::new() } else { format!(" ({})", view.scope) };
    format!("{}/{}{scope}", view.table, view.record)
}

fn who(side: &SideView) -> String {
    match side.actor.is_nobody() {
        true => side.device.to_string(),
        false => format!("{} on {}", side.actor, side.device),
    }
}

/// A value as JSON.
fn value_of(side: &SideView) -> String {
    match &side.value {
        Some(value) => serde_json::to_string(value).unwrap_or_default(),
        None if side.deleted => "deleted".to_owned(),
        None => "-".to_owned(),
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
