//! The gateway's Prometheus metrics. No label names a workspace, a device or a record.

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
        /// The version of this server, as a label. The value is always 1.
        build_info: IntGaugeVec("tidelog_build_info", ["version"]),
        /// Operations pushed, by table of the catalog (other tables as "unknown") and by outcome of the append: pending, duplicate or rejected.
        ops_pushed: IntCounterVec("tidelog_ops_pushed_total", ["table", "verdict"]),
        /// Operations in one push.
        batch_ops: Histogram("tidelog_batch_ops", buckets = count_buckets()),
        /// Seconds from the arrival of a request to the first byte of its response, by route, method and status.
        request_seconds: HistogramVec("tidelog_request_duration_seconds", ["route", "method", "status"], buckets = latency_buckets()),
        /// Seconds to check, judge and append a push, without waiting for the projector.
        push_seconds: Histogram("tidelog_push_duration_seconds", buckets = latency_buckets()),
        /// Seconds to read one page for a pull, without the wait of a long poll.
        pull_seconds: Histogram("tidelog_pull_duration_seconds", buckets = latency_buckets()),
        /// Bytes of request bodies as received, before decompression.
        received_bytes: IntCounter("tidelog_received_bytes_total"),
        /// Bytes of response bodies as sent, after compression.
        sent_bytes: IntCounter("tidelog_sent_bytes_total"),
        /// Events sent in responses to pulls.
        events_pulled: IntCounter("tidelog_events_pulled_total"),
        /// Pages read for pulls, by the source of their events: tail (memory near the head), shared (memory, read for another reader) or log (database).
        pages: IntCounterVec("tidelog_pages_total", ["source"]),
        /// Bytes of events kept in memory for readers near the head of their log.
        tail_bytes: IntGauge("tidelog_tail_bytes"),
        /// Bytes of pages kept in memory for readers that pull the same.
        shared_page_bytes: IntGauge("tidelog_shared_page_bytes"),
        /// Pushes appended in one transaction.
        group_pushes: Histogram("tidelog_group_commit_pushes", buckets = count_buckets()),
        /// Operations appended in one transaction.
        group_ops: Histogram("tidelog_group_commit_ops", buckets = count_buckets()),
        /// Pushes waiting to be appended.
        appends_waiting: IntGauge("tidelog_appends_waiting"),
        /// Database connections in use, without those of the projector.
        pool_in_use: IntGauge("tidelog_pool_connections_in_use"),
        /// Tasks waiting for a database connection.
        pool_waiting: IntGauge("tidelog_pool_waiting"),
        /// Bytes of memory that request bodies take, as received and as decompressed.
        body_memory_bytes: IntGauge("tidelog_body_memory_bytes"),
        /// Open connections of clients.
        open_connections: IntGauge("tidelog_open_connections"),
        /// Open long polls and streamed responses.
        open_streams: IntGauge("tidelog_open_streams"),
        /// Devices seen in the last 30 days.
        active_devices: IntGauge("tidelog_active_devices"),
        /// Seconds by which the newest `at` of a push is ahead of the server's clock; 0 if it is not.
        client_clock_ahead_seconds: Histogram("tidelog_client_clock_ahead_seconds", buckets = exponential_buckets(1.0, 4.0, 14).unwrap_or_default()),
        /// Events that are not folded yet, in all workspaces.
        projector_lag_events: IntGauge("tidelog_projector_lag_events"),
        /// Seconds since the oldest event that is not folded yet was stored.
        projector_lag_seconds: Gauge("tidelog_projector_lag_seconds"),
        /// Workspaces with events that are not folded yet.
        projector_lag_workspaces: IntGauge("tidelog_projector_lag_workspaces"),
    }
}
