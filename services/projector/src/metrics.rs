//! What the projector tells Prometheus.

use prometheus::exponential_buckets;

tidelog_postgres::metrics! {
    /// The projector's metrics.
    pub struct ProjectorMetrics {
        /// Events folded, by table of the catalog and verdict.
        events_folded: IntCounterVec("tidelog_events_folded_total", ["table", "verdict"]),
        /// Seconds of one step: reading, folding, writing.
        step_seconds: HistogramVec("tidelog_projector_step_duration_seconds", [], exponential_buckets(0.001, 2.0, 14).unwrap_or_default()),
        /// Steps that failed. The workspace is tried again.
        step_failures: IntCounterVec("tidelog_projector_step_failures_total", []),
    }
}
