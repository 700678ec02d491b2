//! The projector's parts and settings. What it does is in `step/`, `run.rs`, `rebuild/`, `verify/` and `preview.rs`.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_core::digest::Digest;
use tidelog_core::fold::Resolvers;
use tidelog_postgres::{CatalogCache, SliceLimits, Store, Wakeups};

use crate::metrics::ProjectorMetrics;
use crate::step::alias_cache::AliasCache;

/// Size of one step, to the next batch boundary. Larger steps save round trips; smaller ones hold less in memory and let a
/// waiting push know sooner.
pub(crate) const STEP_LIMITS: SliceLimits = SliceLimits { events: 2_000, bytes: 8 * 1024 * 1024 };
/// Size limit of the stored records that one step loads, in bytes. A single batch may name more.
pub(crate) const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Workspaces folded concurrently: while one waits for the database, another uses the processor.
const WORKERS_DEFAULT: usize = 3;

/// Folds logs into records. Any number of projectors, in any number of processes, share the work: only one at a time can
/// move a checkpoint.
#[derive(Clone)]
pub struct Projector {
    pub(crate) store: Store,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) metrics: ProjectorMetrics,
    pub(crate) catalogs: CatalogCache<Digest>,
    pub(crate) aliases: AliasCache,
    pub(crate) records_bytes_max: usize,
    pub(crate) slice_limits: SliceLimits,
    pub(crate) resolvers: Resolvers,
    pub(crate) workers: usize,
}

impl Projector {
    /// A projector on a database, with the default limits and no custom resolvers. Registers its metrics.
    pub fn new(store: Store, wakeups: Arc<Wakeups>, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = ProjectorMetrics::register(registry)?;
        Ok(Self {
            store,
            wakeups,
            metrics,
            catalogs: CatalogCache::default(),
            aliases: AliasCache::default(),
            records_bytes_max: RECORDS_BYTES_MAX,
            slice_limits: STEP_LIMITS,
            resolvers: Resolvers::none(),
            workers: WORKERS_DEFAULT,
        })
    }

    /// Limits the stored size of the records that one step loads, in bytes.
    pub fn with_records_bytes_max(self, records_bytes_max: usize) -> Self {
        Self { records_bytes_max, ..self }
    }

    /// Limits the events that one step folds; a step ends at the first batch boundary after the limit.
    pub fn with_step_events(self, events: usize) -> Self {
        Self { slice_limits: SliceLimits { events: events.max(1), ..self.slice_limits }, ..self }
    }

    /// Sets the resolvers of the embedding program's `custom` rules.
    pub fn with_resolvers(self, resolvers: Resolvers) -> Self {
        Self { resolvers, ..self }
    }

    /// Sets how many workspaces are folded concurrently, at least one. Each may use two connections at a time.
    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers: workers.max(1), ..self }
    }
}
