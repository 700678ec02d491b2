//! The catalog in force as this gateway knows it. The log checks the version under its lock, so a stale one is caught.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tidelog_core::error::Code;
use tidelog_core::ids::CatalogVersion;
use tidelog_postgres::{InForce, Store, StoreError};
use tokio::time::Instant;

use crate::http::error::ApiError;

/// After how long reads look whether another catalog is in force.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The catalog in force, read when needed, and earlier ones, which never change.
pub(crate) struct CatalogCache {
    store: Store,
    known: ArcSwapOption<(InForce, Instant)>,
    versions: Mutex<HashMap<i64, Arc<InForce>>>,
}

impl CatalogCache {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, known: ArcSwapOption::empty(), versions: Mutex::default() }
    }

    /// The catalog in force some seconds ago at most.
    pub(crate) async fn current(&self) -> Result<Arc<(InForce, Instant)>, ApiError> {
        match self.known.load_full() {
            Some(known) if known.1.elapsed() < FRESH_FOR => Ok(known),
            Some(_) | None => self.refresh().await,
        }
    }

    /// The catalog in force now.
    pub(crate) async fn refresh(&self) -> Result<Arc<(InForce, Instant)>, ApiError> {
        let in_force = self.store.catalog_in_force().await?;
        let in_force = in_force.ok_or_else(|| ApiError::unavailable("no catalog is in force yet"))?;
        let known = Arc::new((in_force, Instant::now()));
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }

    /// The catalog that a log is under: what its last `_catalog` event says. Who reads sees what that allows, however
    /// new another catalog is: only so does every change of what may be seen have its place in the log (PULL-1).
    pub(crate) async fn of_log(&self, version: i64) -> Result<Arc<InForce>, ApiError> {
        let known = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&version).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = match version {
            // An empty log: there is nothing to see yet.
            0 => Arc::new(self.current().await?.0.clone()),
            _ => {
                let found = self.store.catalog_of_version(CatalogVersion(version)).await?;
                Arc::new(found.ok_or_else(|| StoreError::Corrupt(format!("there is no catalog {version}")))?)
            }
        };
        if version > 0 {
            self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(version, Arc::clone(&found));
        }
        Ok(found)
    }

    /// The catalog that a cursor names: a restored server may have lost it, and then the cursor is of another history.
    pub(crate) async fn of_cursor(&self, version: i64) -> Result<Arc<InForce>, ApiError> {
        if self.store.catalog_of_version(CatalogVersion(version)).await?.is_none() {
            let detail = "this cursor is of another history: start anew without one";
            return Err(ApiError::new(Code::CursorDiverged, detail));
        }
        self.of_log(version).await
    }
}
