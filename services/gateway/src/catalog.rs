//! The catalog in force as this gateway knows it. The log checks the version under its lock, so a stale one is caught.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tidelog_postgres::{InForce, Store};
use tokio::time::Instant;

use crate::error::ApiError;

/// After how long reads look whether another catalog is in force.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The catalog in force, read when needed.
pub(crate) struct CatalogCell {
    store: Store,
    known: ArcSwapOption<(InForce, Instant)>,
}

impl CatalogCell {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, known: ArcSwapOption::empty() }
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
}
