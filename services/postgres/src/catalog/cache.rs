//! A bounded, read-through cache of catalogs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tidelog_core::catalog::Catalog;
use tidelog_core::digest::Digest;
use tidelog_core::ids::{CatalogVersion, Position, WorkspaceId};

use crate::catalog::versions::StoredCatalog;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::lock::LockExt;

/// Catalogs in one cache: far more than are in force at once in the logs of a server.
const CATALOGS_MAX: usize = 64;

/// A catalog with its version, cheap to clone.
#[derive(Debug, Clone)]
pub struct VersionedCatalog {
    /// The version under which the catalog was put in force.
    pub version: CatalogVersion,
    /// What the catalog says.
    pub catalog: Arc<Catalog>,
}

impl From<StoredCatalog> for VersionedCatalog {
    fn from(stored: StoredCatalog) -> Self {
        Self { version: stored.version, catalog: Arc::new(stored.catalog) }
    }
}

/// A bounded cache of catalogs. Clones share one; when it is full, the least recently used catalog goes.
///
/// The key is the catalog's version, or the digest of its `_catalog` event, which is the same in every log. Nothing has
/// to be invalidated, since what either key names never changes.
#[derive(Debug, Clone)]
pub struct CatalogCache<K> {
    entries: Arc<Mutex<Entries<K>>>,
}

#[derive(Debug)]
struct Entries<K> {
    /// Each catalog with the number of its last use.
    catalogs: HashMap<K, (VersionedCatalog, u64)>,
    /// How often the cache was used so far.
    uses: u64,
}

impl<K> Default for CatalogCache<K> {
    fn default() -> Self {
        Self { entries: Arc::new(Mutex::new(Entries { catalogs: HashMap::new(), uses: 0 })) }
    }
}

impl<K: Copy + Eq + Hash> CatalogCache<K> {
    /// The catalog of a key, if it is in the cache.
    fn get(&self, key: K) -> Option<VersionedCatalog> {
        let mut entries = self.entries.lock_unpoisoned();
        entries.uses += 1;
        let uses = entries.uses;
        let (catalog, last_use) = entries.catalogs.get_mut(&key)?;
        *last_use = uses;
        Some(catalog.clone())
    }

    /// Keeps a catalog. The result is the one to use: if another thread was first, that thread's, so that all share
    /// one.
    fn insert(&self, key: K, catalog: VersionedCatalog) -> VersionedCatalog {
        let mut entries = self.entries.lock_unpoisoned();
        entries.uses += 1;
        let uses = entries.uses;
        if entries.catalogs.len() >= CATALOGS_MAX && !entries.catalogs.contains_key(&key) {
            let oldest = entries.catalogs.iter().min_by_key(|(_, (_, last_use))| *last_use).map(|(key, _)| *key);
            oldest.map(|oldest| entries.catalogs.remove(&oldest));
        }
        let (kept, last_use) = entries.catalogs.entry(key).or_insert((catalog, uses));
        *last_use = uses;
        kept.clone()
    }
}

impl CatalogCache<Digest> {
    /// The catalog that the `_catalog` event at a position puts in force. With the event's `digest` it comes from the
    /// cache if it is there; otherwise the event is read, and its catalog is kept.
    ///
    /// [`StoreError::Corrupt`] if there is no event at the position or it holds no catalog.
    pub async fn of_event(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        position: Position,
        digest: Option<Digest>,
    ) -> Result<VersionedCatalog, StoreError> {
        if let Some(known) = digest.and_then(|digest| self.get(digest)) {
            return Ok(known);
        }
        let event = store.event_at(workspace, position).await?;
        let event = event.ok_or_else(|| StoreError::Corrupt("a _catalog event is missing".to_owned()))?;
        let (version, catalog) = Catalog::from_event(&event).map_err(StoreError::corrupt)?;
        Ok(self.insert(event.digest, VersionedCatalog { version, catalog: Arc::new(catalog) }))
    }
}

impl CatalogCache<CatalogVersion> {
    /// The catalog of a version, from the cache or else from the database. `None` if no catalog has this version.
    pub async fn of_version(
        &self,
        store: &Store,
        version: CatalogVersion,
    ) -> Result<Option<VersionedCatalog>, StoreError> {
        if let Some(known) = self.get(version) {
            return Ok(Some(known));
        }
        let read = store.catalog_of_version(version).await?;
        Ok(read.map(|catalog| self.insert(version, catalog.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(version: i64) -> VersionedCatalog {
        let catalog = Catalog::parse("roles = [\"staff\"]\n[tables.notes]\n").unwrap();
        VersionedCatalog { version: CatalogVersion(version), catalog: Arc::new(catalog) }
    }

    #[test]
    fn a_full_cache_drops_the_catalog_that_was_not_used_for_longest() {
        let cache = CatalogCache::default();
        let full = CATALOGS_MAX as i64;
        for version in 1..=full {
            cache.insert(CatalogVersion(version), catalog(version));
        }
        assert_eq!(cache.get(CatalogVersion(1)).unwrap().version.0, 1);
        cache.insert(CatalogVersion(full + 1), catalog(full + 1));
        let is_kept: Vec<_> = (1..=full + 1).map(|version| cache.get(CatalogVersion(version)).is_some()).collect();
        assert_eq!(is_kept.iter().position(|is_kept| !is_kept), Some(1));
        assert_eq!(is_kept.iter().filter(|is_kept| **is_kept).count(), CATALOGS_MAX);
    }

    #[test]
    fn the_first_of_two_equal_catalogs_is_shared() {
        let cache = CatalogCache::default();
        let (first, second) = (catalog(1), catalog(1));
        cache.insert(Digest(7), first.clone());
        assert!(Arc::ptr_eq(&cache.insert(Digest(7), second).catalog, &first.catalog));
    }
}
