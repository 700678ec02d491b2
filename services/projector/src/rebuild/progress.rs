//! Counters of a running rebuild.

use std::sync::atomic::AtomicI64;

/// How far a rebuild of one or more workspaces is. The rebuild counts, and a caller may read at any time to show it.
#[derive(Debug, Default)]
pub struct RebuildProgress {
    /// Events folded so far, including those of an earlier rebuild that this one resumes.
    pub folded: AtomicI64,
    /// Events to fold in all: the sum of the logs' heads when the rebuild began. The logs may grow meanwhile.
    pub total: AtomicI64,
    /// Workspaces whose new generation is live.
    pub swapped: AtomicI64,
}
