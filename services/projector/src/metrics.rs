//! The projector's Prometheus metrics.

use prometheus::exponential_buckets;
use tidelog_postgres::GenerationSums;

tidelog_postgres::metrics! {
    /// The projector's metrics.
    pub struct ProjectorMetrics {
        /// Events folded, by catalog table and verdict.
        events_folded: IntCounterVec("tidelog_events_folded_total", ["table", "verdict"]),
        /// Seconds per projector step: reading, folding and writing one slice of a log.
        step_seconds: Histogram("tidelog_projector_step_duration_seconds", buckets = exponential_buckets(0.001, 2.0, 14).unwrap_or_default()),
        /// Projector steps that failed. The workspace is tried again.
        step_failures: IntCounter("tidelog_projector_step_failures_total"),
        /// The highest live generation of any workspace. Each rebuild of a workspace makes the next one.
        generation: IntGauge("tidelog_generation"),
        /// Workspaces with an unfinished generation, which a rebuild is building or has left unfinished.
        rebuild_workspaces: IntGauge("tidelog_rebuild_workspaces"),
        /// Workspaces that keep an older generation. Its tables take disk space until `tidelog rebuild drop`.
        generations_kept: IntGauge("tidelog_generations_kept"),
        /// Events folded so far into unfinished generations.
        rebuild_events: IntGauge("tidelog_rebuild_events"),
        /// Events in the live records that unfinished generations have yet to fold.
        rebuild_lag_events: IntGauge("tidelog_rebuild_lag_events"),
        /// Unix time of the oldest successful verify over all workspaces; 0 if one was never verified.
        verified_oldest: Gauge("tidelog_verified_oldest_timestamp_seconds"),
    }
}

impl ProjectorMetrics {
    pub(crate) fn set_generations(&self, sums: &GenerationSums) {
        self.generation.set(sums.newest);
        self.rebuild_workspaces.set(sums.building);
        self.generations_kept.set(sums.kept);
        self.rebuild_events.set(sums.built_events);
        self.rebuild_lag_events.set((sums.to_build_events - sums.built_events).max(0));
        self.verified_oldest.set(sums.verified_at.0 as f64 / 1_000.0);
    }
}
