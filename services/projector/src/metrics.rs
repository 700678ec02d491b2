//! What the projector tells Prometheus.

use prometheus::exponential_buckets;
use tidelog_postgres::GenerationSums;

tidelog_postgres::metrics! {
    /// The projector's metrics.
    pub struct ProjectorMetrics {
        /// Events folded, by table of the catalog and verdict.
        events_folded: IntCounterVec("tidelog_events_folded_total", ["table", "verdict"]),
        /// Seconds of one step: reading, folding, writing.
        step_seconds: Histogram("tidelog_projector_step_duration_seconds", buckets = exponential_buckets(0.001, 2.0, 14).unwrap_or_default()),
        /// Steps that failed. The workspace is tried again.
        step_failures: IntCounter("tidelog_projector_step_failures_total"),
        /// The highest generation that is live in some workspace: a rebuild makes the next one.
        generation: IntGauge("tidelog_generation"),
        /// Workspaces whose records are being made anew.
        rebuild_workspaces: IntGauge("tidelog_rebuild_workspaces"),
        /// Workspaces with an older generation that is kept: its tables take room until it is dropped.
        generations_kept: IntGauge("tidelog_generations_kept"),
        /// Events folded so far into the records that are being made anew.
        rebuild_events: IntGauge("tidelog_rebuild_events"),
        /// Events that the records being made anew still lack.
        rebuild_lag_events: IntGauge("tidelog_rebuild_lag_events"),
        /// When the workspace that was verified longest ago was found as it should be; 0 while there is one that never was.
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
