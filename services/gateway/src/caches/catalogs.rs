//! The catalogs that requests are judged and filtered by: the one in force, and earlier ones that logs and cursors name.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tidelog_core::digest::Digest;
use tidelog_core::error::Code;
use tidelog_core::ids::{CatalogVersion, Position, WorkspaceId};
use tidelog_postgres::{CatalogCache, Store, StoreError, VersionedCatalog};
use tokio::time::Instant;

use crate::http::error::ApiError;

/// Maximum age of the catalog that [`Catalogs::current`] returns. Older, it is read again.
const CURRENT_AGE_MAX: Duration = Duration::from_secs(2);

/// The catalogs that this gateway knows, read from the database when they are needed.
///
/// The catalog in force may be out of date by [`CURRENT_AGE_MAX`]. That does no harm to a push: the append compares its
/// version under the log's lock, and the push is judged again.
pub(crate) struct Catalogs {
    store: Store,
    current: ArcSwapOption<CurrentCatalog>,
    by_version: CatalogCache<CatalogVersion>,
    by_digest: CatalogCache<Digest>,
}

struct CurrentCatalog {
    catalog: VersionedCatalog,
    read_at: Instant,
}

impl Catalogs {
    pub(crate) fn new(store: Store) -> Self {
        let (by_version, by_digest) = (CatalogCache::default(), CatalogCache::default());
        Self { store, current: ArcSwapOption::empty(), by_version, by_digest }
    }

    /// The catalog that was in force at most [`CURRENT_AGE_MAX`] ago.
    pub(crate) async fn current(&self) -> Result<VersionedCatalog, ApiError> {
        let fresh = match &*self.current.load() {
            Some(current) if current.read_at.elapsed() < CURRENT_AGE_MAX => Some(current.catalog.clone()),
            Some(_) | None => None,
        };
        match fresh {
            Some(catalog) => Ok(catalog),
            None => self.refresh().await,
        }
    }

    /// The catalog that is in force now, read from the database.
    pub(crate) async fn refresh(&self) -> Result<VersionedCatalog, ApiError> {
        let in_force = self.store.catalog_in_force().await?;
        let in_force = in_force.ok_or_else(|| ApiError::unavailable("no catalog is in force yet"))?;
        let catalog = VersionedCatalog::from(in_force);
        let current = CurrentCatalog { catalog: catalog.clone(), read_at: Instant::now() };
        self.current.store(Some(Arc::new(current)));
        Ok(catalog)
    }

    /// The catalog that a log is under, by the version in its last `_catalog` event (0 if the log is empty).
    ///
    /// Readers see what this catalog grants, even if a newer one is in force. So every change of what they may see has a
    /// position in the log (PULL-1).
    pub(crate) async fn of_log(&self, version: i64) -> Result<VersionedCatalog, ApiError> {
        if version == 0 {
            // There is nothing to see in an empty log, so any catalog will do.
            return self.current().await;
        }
        let catalog = self.by_version.of_version(&self.store, CatalogVersion(version)).await?;
        Ok(catalog.ok_or_else(|| StoreError::Corrupt(format!("there is no catalog {version}")))?)
    }

    /// The catalog that a cursor names. The database is asked for it each time: if it was restored from a backup, it may no
    /// longer have that catalog, and then the cursor belongs to another history.
    pub(crate) async fn of_cursor(&self, version: i64) -> Result<VersionedCatalog, ApiError> {
        if self.store.catalog_of_version(CatalogVersion(version)).await?.is_none() {
            let detail = "this cursor belongs to another history of the log: start again without a cursor";
            return Err(ApiError::new(Code::CursorDiverged, detail));
        }
        self.of_log(version).await
    }

    /// The catalog that a `_catalog` event puts in force. With the event's `digest` it may come from memory.
    pub(crate) async fn of_event(
        &self,
        workspace: WorkspaceId,
        position: Position,
        digest: Option<Digest>,
    ) -> Result<VersionedCatalog, StoreError> {
        self.by_digest.of_event(&self.store, workspace, position, digest).await
    }
}
