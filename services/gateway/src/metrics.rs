//! What the gateway tells Prometheus. No label carries a workspace, device or record.

use prometheus::exponential_buckets;

fn latency_buckets() -> Vec<f64> {
    exponential_buckets(0.000_5, 2.0, 16).unwrap_or_default()
}

fn count_buckets() -> Vec<f64> {
    exponential_buckets(1.0, 4.0, 8).unwrap_or_default()
}

tidelog_postgres::metrics! {
    /// The gateway's metrics.
    pub struct GatewayMetrics {
        /// Operations pushed, by table of the catalog (others as "unknown") and what became of them at append: pending, duplicate or rejected.
        ops_pushed: IntCounterVec("tidelog_ops_pushed_total", ["table", "verdict"]),
        /// Operations per push.
        batch_ops: Histogram("tidelog_batch_ops", buckets = count_buckets()),
        /// Seconds from a request's arrival to its answer's first byte, by route and status.
        request_seconds: HistogramVec("tidelog_request_duration_seconds", ["route", "method", "status"], buckets = latency_buckets()),
        /// Seconds of a push, waiting for the projector aside.
        push_seconds: Histogram("tidelog_push_duration_seconds", buckets = latency_buckets()),
        /// Seconds of reading a page for a pull, long polling aside.
        pull_seconds: Histogram("tidelog_pull_duration_seconds", buckets = latency_buckets()),
        /// Bytes of request bodies as they came.
        received_bytes: IntCounter("tidelog_received_bytes_total"),
        /// Bytes of answer bodies as they went.
        sent_bytes: IntCounter("tidelog_sent_bytes_total"),
        /// Events given to pulls.
        events_pulled: IntCounter("tidelog_events_pulled_total"),
        /// Pages read for pulls, by where their events were: tail (in memory) or log (in the database).
        pages: IntCounterVec("tidelog_pages_total", ["source"]),
        /// Bytes of events that are kept in memory for readers near the heads of their logs.
        tail_bytes: IntGauge("tidelog_tail_bytes"),
        /// Pushes appended by one statement or transaction.
        group_pushes: Histogram("tidelog_group_commit_pushes", buckets = count_buckets()),
        /// Operations appended by one statement or transaction.
        group_ops: Histogram("tidelog_group_commit_ops", buckets = count_buckets()),
        /// Pushes that wait to be appended.
        appends_waiting: IntGauge("tidelog_appends_waiting"),
        /// Database connections in use, but for the projector's.
        pool_in_use: IntGauge("tidelog_pool_connections_in_use"),
        /// Callers that wait for a database connection.
        pool_waiting: IntGauge("tidelog_pool_waiting"),
        /// Answers that are being streamed, and long polls.
        open_streams: IntGauge("tidelog_open_streams"),
        /// Devices heard of in the last 30 days.
        active_devices: IntGauge("tidelog_active_devices"),
        /// Seconds that the newest `at` of a push lies ahead of the server's clock; 0 where it does not.
        client_clock_ahead_seconds: Histogram("tidelog_client_clock_ahead_seconds", buckets = exponential_buckets(1.0, 4.0, 14).unwrap_or_default()),
        /// Events that are not folded yet, over all workspaces.
        projector_lag_events: IntGauge("tidelog_projector_lag_events"),
        /// Seconds since the oldest event that is not folded yet was stored.
        projector_lag_seconds: Gauge("tidelog_projector_lag_seconds"),
        /// Workspaces with events that are not folded yet.
        projector_lag_workspaces: IntGauge("tidelog_projector_lag_workspaces"),
    }
}
