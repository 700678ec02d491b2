//! The records of a log as they were.

use std::sync::Arc;

use anyhow::{Context, bail};
use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, Resolvers};
use tidelog_core::ids::{Position, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::RecordView;
use tidelog_postgres::{SliceLimits, Store};

/// What is in memory at once beside the records.
const SLICE: SliceLimits = SliceLimits { events: 2_000, bytes: 8 * 1024 * 1024 };

/// How far a log is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// All of it.
    Head,
    /// To this event, that one too.
    Position(Position),
    /// To what was stored at this time.
    Time(UnixMs),
}

/// What a log was folded to.
pub(crate) struct Past {
    /// Up to where.
    pub(crate) position: Position,
    folder: Folder,
}

impl Past {
    /// Folds a log from its start, by the rules that its live records are folded by: those in force at each event, or from
    /// a refold on the refold's. Of `table` alone, if one is given: no record depends on those of another table.
    pub(crate) async fn fold(
        store: &Store,
        workspace: WorkspaceId,
        until: Until,
        table: Option<&TableName>,
        resolvers: &Resolvers,
    ) -> anyhow::Result<Self> {
        let head = store.head(workspace, Position::START).await?.context("the workspace is gone")?.head;
        let end = match until {
            Until::Position(position) if position > head => {
                bail!("the log ends at position {head}, before {position}")
            }
            Until::Position(position) => position,
            Until::Head | Until::Time(_) => head,
        };
        let is_past = |event: &Event| match until {
            Until::Time(time) => event.received_at > time,
            Until::Head | Until::Position(_) => event.position > end,
        };
        let mut past = Self { position: Position::START, folder: beginning(store, workspace, resolvers).await? };
        let mut read_to = Position::START;
        while read_to < end {
            let slice = store.slice(workspace, read_to, SLICE).await?;
            let Some(last) = slice.batches.last() else { break };
            read_to = last.cursor.position;
            for event in &slice.events {
                if is_past(event) {
                    return past.checked(table);
                }
                past.position = event.position;
                if event.table.is_server_owned() || table.is_none_or(|table| event.table == *table) {
                    past.folder.fold(event)?;
                }
            }
        }
        past.checked(table)
    }

    /// The records that lived then, in the order of their keys, of the tables that there were.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordView> {
        let has_table =
            |view: &RecordView| self.catalog().is_some_and(|catalog| catalog.tables.contains_key(&view.table));
        self.folder.views(false).filter(move |view| !view.deleted && has_table(view))
    }

    fn catalog(&self) -> Option<&Arc<Catalog>> {
        self.folder.catalog().map(|(_, catalog)| catalog)
    }

    fn checked(self, table: Option<&TableName>) -> anyhow::Result<Self> {
        match table {
            Some(table) if self.catalog().is_some_and(|catalog| !catalog.tables.contains_key(table)) => {
                bail!("at position {} the catalog has no table {table}", self.position)
            }
            Some(_) | None => Ok(self),
        }
    }
}

/// A folder before the first event, under the rules of the refold that the live records are of, if they are of one.
async fn beginning(store: &Store, workspace: WorkspaceId, resolvers: &Resolvers) -> anyhow::Result<Folder> {
    let mut folder = Folder::with_resolvers(resolvers.clone());
    let checkpoint = store.checkpoint(workspace).await?.context("the workspace has no records")?;
    let refold = checkpoint.refold_position;
    if refold > Position::START {
        let event = store.event_at(workspace, refold).await?.context("the refold's _catalog event is missing")?;
        let (version, catalog) = Catalog::from_event(&event)?;
        folder.refold(refold, version, catalog);
    }
    Ok(folder)
}
