//! The catalogs that logs were found to be under.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_core::catalog::Catalog;
use tidelog_core::digest::Digest;
use tidelog_core::ids::CatalogVersion;

/// Most catalogs that are kept: far more than are in force at once in the logs of a server.
const CATALOGS_MAX: usize = 64;

type Known = HashMap<i64, (CatalogVersion, Arc<Catalog>)>;

/// Catalogs by the digest of their event, which is one and the same in every log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogs {
    known: Arc<Mutex<Known>>,
}

impl Catalogs {
    pub(crate) fn get(&self, digest: Digest) -> Option<(CatalogVersion, Arc<Catalog>)> {
        self.lock().get(&digest.0).cloned()
    }

    /// Keeps a catalog, and gives it back to be shared.
    pub(crate) fn add(
        &self,
        digest: Digest,
        version: CatalogVersion,
        catalog: Catalog,
    ) -> (CatalogVersion, Arc<Catalog>) {
        let mut known = self.lock();
        if known.len() >= CATALOGS_MAX {
            known.clear();
        }
        known.entry(digest.0).or_insert_with(|| (version, Arc::new(catalog))).clone()
    }

    /// The map is whole between any two statements, so a panic elsewhere leaves it usable.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
