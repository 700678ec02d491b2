//! The state that a fold goes on from: a checkpoint, the catalog in force there, and the records loaded so far.

use std::collections::HashMap;

use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Folder, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{Checkpoint, FoldStart, TableSet};

use crate::error::StepError;
use crate::projector::Projector;
use crate::step::touched_records::TouchedRecords;

/// Hashes of live records, as the digests of their tables include them.
pub(crate) type RecordHashes = HashMap<RecordKey, RecordHash>;

/// A point in the log from which folding goes on.
#[derive(Debug)]
pub(crate) struct FoldState {
    /// The checkpoint, already stored or about to be.
    pub(crate) checkpoint: Checkpoint,
    /// The catalog in force at the checkpoint, the names of devices, and the records loaded so far as they are there.
    pub(crate) folder: Folder,
    /// The hashes that the table digests of the checkpoint include for the loaded records. A record that is deleted there
    /// has none.
    pub(crate) hashes: RecordHashes,
    /// Rebuilds from position 1 only: the records that events have named so far.
    pub(crate) touched: Option<TouchedRecords>,
}

impl Projector {
    /// Reads the state at a workspace's checkpoint: that of the live tables, or of the given set during a rebuild.
    pub(crate) async fn fold_state(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
    ) -> Result<FoldState, StepError> {
        let start = self.store.fold_start(workspace, table_set).await?;
        let FoldStart { checkpoint, catalog_digest, last_alias } = start.ok_or(StepError::NoWorkspace(workspace))?;
        let mut folder = self.folder(workspace, checkpoint.position, checkpoint.refold_position).await?;
        if checkpoint.refold_position <= checkpoint.position && checkpoint.catalog_position > Position::START {
            let position = checkpoint.catalog_position;
            let in_force = self.catalogs.of_event(&self.store, workspace, position, catalog_digest).await?;
            folder.set_catalog(in_force.version, in_force.catalog);
        }
        folder.set_aliases(self.aliases.up_to(&self.store, workspace, last_alias).await?);
        let is_from_start = table_set.is_some() && checkpoint.position == Position::START;
        Ok(FoldState {
            checkpoint,
            folder,
            hashes: RecordHashes::new(),
            touched: is_from_start.then(TouchedRecords::default),
        })
    }

    /// A folder for the events after `after`. With `refold_position` > 0 all events are judged by the catalog of the
    /// `_catalog` event at that position, with 0 each by the catalog in force at its own.
    pub(crate) async fn folder(
        &self,
        workspace: WorkspaceId,
        after: Position,
        refold_position: Position,
    ) -> Result<Folder, StepError> {
        let mut folder = Folder::with_resolvers(self.resolvers.clone());
        if refold_position > after {
            let refold = self.catalogs.of_event(&self.store, workspace, refold_position, None).await?;
            folder.refold(refold_position, refold.version, refold.catalog);
        }
        Ok(folder)
    }
}
