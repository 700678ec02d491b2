//! The records of a log as of a position or time.

use std::sync::Arc;

use anyhow::{Context, bail};
use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, Resolvers};
use tidelog_core::ids::{Position, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::RecordView;
use tidelog_postgres::{SliceLimits, Store};

/// Size of the slices in which the log is read.
const SLICE_LIMITS: SliceLimits = SliceLimits { events: 2_000, bytes: 8 * 1024 * 1024 };

/// Up to where a log is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AsOf {
    /// Its head.
    Head,
    /// This event, which is included.
    Position(Position),
    /// The last event that was stored at this time or before.
    Time(UnixMs),
}

/// The records of a log as of a position.
pub(crate) struct RecordsAt {
    /// The last event that is folded.
    pub(crate) position: Position,
    folder: Folder,
}

impl RecordsAt {
    /// Folds a log from its start, by the rules by which its live records are folded: those of the newest refold, if they
    /// are folded by one, else those in force at each event. With `table`, only the events of that table are folded, since
    /// no record depends on another table.
    pub(crate) async fn fold(
        store: &Store,
        workspace: WorkspaceId,
        as_of: AsOf,
        table: Option<&TableName>,
        resolvers: &Resolvers,
    ) -> anyhow::Result<Self> {
        let head = store.head(workspace, Position::START).await?.context("the workspace no longer exists")?.head;
        let end = match as_of {
            AsOf::Position(position) if position > head => {
                bail!("the log ends at position {head}, before {position}")
            }
            AsOf::Position(position) => position,
            AsOf::Head | AsOf::Time(_) => head,
        };
        let is_later = |event: &Event| match as_of {
            AsOf::Time(time) => event.received_at > time,
            AsOf::Head | AsOf::Position(_) => event.position > end,
        };
        let folder = folder_at_start(store, workspace, resolvers).await?;
        let mut records_at = Self { position: Position::START, folder };
        let mut read_to = Position::START;
        while read_to < end {
            let slice = store.slice(workspace, read_to, SLICE_LIMITS).await?;
            let Some(last) = slice.batches.last() else { break };
            read_to = last.cursor.position;
            for event in &slice.events {
                if is_later(event) {
                    return records_at.checked(table);
                }
                records_at.position = event.position;
                if event.table.is_server_owned() || table.is_none_or(|table| event.table == *table) {
                    records_at.folder.fold(event)?;
                }
            }
        }
        records_at.checked(table)
    }

    /// The live records in key order, of the tables that the catalog had then.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordView> {
        let has_table =
            |view: &RecordView| self.catalog().is_some_and(|catalog| catalog.tables.contains_key(&view.table));
        self.folder.views(false).filter(move |view| !view.deleted && has_table(view))
    }

    fn catalog(&self) -> Option<&Arc<Catalog>> {
        self.folder.catalog().map(|(_, catalog)| catalog)
    }

    /// Fails if the catalog had no such table then.
    fn checked(self, table: Option<&TableName>) -> anyhow::Result<Self> {
        match table {
            Some(table) if self.catalog().is_some_and(|catalog| !catalog.tables.contains_key(table)) => {
                bail!("at position {} the catalog has no table {table}", self.position)
            }
            Some(_) | None => Ok(self),
        }
    }
}

/// A folder before the first event, with the rules of the refold by which the live records are folded, if there is one.
async fn folder_at_start(store: &Store, workspace: WorkspaceId, resolvers: &Resolvers) -> anyhow::Result<Folder> {
    let mut folder = Folder::with_resolvers(resolvers.clone());
    let checkpoint = store.checkpoint(workspace).await?.context("the workspace has no records")?;
    let refold = checkpoint.refold_position;
    if refold > Position::START {
        let event = store.event_at(workspace, refold).await?.context("the _catalog event of the refold is missing")?;
        let (version, catalog) = Catalog::from_event(&event)?;
        folder.refold(refold, version, catalog);
    }
    Ok(folder)
}
