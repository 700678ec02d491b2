//! The projector: its database, its limits and the embedding program's rules.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_core::digest::Digest;
use tidelog_core::fold::Resolvers;
use tidelog_postgres::{CatalogCache, SliceLimits, Store, Wakeups};

use crate::metrics::ProjectorMetrics;

/// What one step folds at most, give or take a batch. Larger steps save round trips, smaller ones hold less in memory
/// and let a waiting push know sooner.
pub(crate) const STEP: SliceLimits = SliceLimits { events: 2_000, bytes: 8 * 1024 * 1024 };
/// Stored bytes of the records of one step at most, unless a single batch names more.
pub(crate) const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Workspaces that are folded at once: while one waits for the database, another has the processor.
const WORKERS_DEFAULT: usize = 3;

/// Folds logs into records. Any number of them share the work: a checkpoint is held by one at a time.
#[derive(Clone)]
pub struct Projector {
    pub(crate) store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) metrics: ProjectorMetrics,
    pub(crate) catalogs: CatalogCache<Digest>,
    pub(crate) records_bytes_max: usize,
    pub(crate) slice_limits: SliceLimits,
    pub(crate) resolvers: Resolvers,
    pub(crate) workers: usize,
}

impl Projector {
    /// A projector over a database.
    pub fn new(store: Store, wakeups: Arc<Wakeups>, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = ProjectorMetrics::register(registry)?;
        Ok(Self {
            store,
            wakeups,
            metrics,
            catalogs: CatalogCache::default(),
            records_bytes_max: RECORDS_BYTES_MAX,
            slice_limits: STEP,
            resolvers: Resolvers::none(),
            workers: WORKERS_DEFAULT,
        })
    }

    /// The same with another bound on what the records of one step weigh as they are stored, in bytes.
    pub fn with_records_bytes_max(self, records_bytes_max: usize) -> Self {
        Self { records_bytes_max, ..self }
    }

    /// The same with as many events folded in one step at most, give or take a batch.
    pub fn with_step_events(self, events: usize) -> Self {
        Self { slice_limits: SliceLimits { events: events.max(1), ..self.slice_limits }, ..self }
    }

    /// The same with the embedding program's rules.
    pub fn with_resolvers(self, resolvers: Resolvers) -> Self {
        Self { resolvers, ..self }
    }

    /// The same with as many workspaces folded at once, one at least. Each may take two connections at a time.
    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers: workers.max(1), ..self }
    }
}
