//! What operators see of a gateway: its metrics, and whether it is ready.

pub(crate) mod append_health;
pub(crate) mod database_report;
pub(crate) mod metrics;
pub(crate) mod readiness;
