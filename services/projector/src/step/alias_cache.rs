//! The earlier names of the devices of workspaces, in memory: they are read again only when there is a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tidelog_core::fold::Aliases;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{LockExt, Store, StoreError};

/// Workspaces in the cache. In most no device ever replaces another, and those take no place.
const WORKSPACES_MAX: usize = 4_096;

/// The aliases of each workspace, up to the event that gave the last one.
type Entries = HashMap<WorkspaceId, (Position, Arc<Aliases>)>;

/// A bounded cache of aliases. Clones share one.
#[derive(Debug, Clone, Default)]
pub(crate) struct AliasCache(Arc<Mutex<Entries>>);

impl AliasCache {
    /// The earlier names that the events up to `last` gave, which is the last event before some checkpoint that gave one; 0
    /// if none did.
    pub(crate) async fn up_to(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        last: Position,
    ) -> Result<Arc<Aliases>, StoreError> {
        if last == Position::START {
            return Ok(Arc::default());
        }
        let cached = self.0.lock_unpoisoned().get(&workspace).cloned();
        if let Some((_, aliases)) = cached.filter(|(at, _)| *at == last) {
            return Ok(aliases);
        }
        let stored = store.aliases(workspace, Position::START, last).await?;
        let aliases: Arc<Aliases> = Arc::new(stored.into_iter().map(|it| (it.device, it.alias)).collect());
        let mut entries = self.0.lock_unpoisoned();
        if entries.len() >= WORKSPACES_MAX {
            entries.clear();
        }
        entries.insert(workspace, (last, Arc::clone(&aliases)));
        Ok(aliases)
    }
}
