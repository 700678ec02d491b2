//! Status and catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogFile;
use crate::ids::{Position, TableName, WorkspaceId};
use crate::limits;
use crate::time::UnixMs;

/// The answer of `GET /sync/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// `online`
    pub status: String,
    /// The server's version.
    pub version: String,
    /// The server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: UnixMs,
    /// The caller's workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub workspace: WorkspaceId,
    /// The tables the caller may read.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub tables: Vec<TableName>,
    /// The version of the catalog in force.
    pub catalog: i64,
    /// The workspace's last position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// The projector's checkpoint.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub projected: Position,
    /// Of each table what its live records come to at `projected`, as far as the caller may read them: two replicas with the
    /// same records have the same digests, of 32 hexadecimal digits. A table without records may lack.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub digests: BTreeMap<TableName, String>,
    /// The log reaches back to the event after this position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub horizon: Position,
    /// Devices heard of in the last 30 days.
    pub active_devices: i64,
    /// Conflicts that a person must settle.
    pub open_conflicts: i64,
    /// When each device was last heard of, by name.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub last_sync: BTreeMap<String, UnixMs>,
    /// What this server takes.
    pub limits: Limits,
}

/// What a server takes, for clients to stay within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Operations in one push.
    pub batch_ops: usize,
    /// Bytes of a request body on the wire.
    pub body_bytes: usize,
    /// Bytes of a request body once decompressed.
    pub inflated_bytes: usize,
    /// Bytes of one op's encoded fields.
    pub field_bytes: usize,
    /// Bytes of a record's fields.
    pub record_bytes: usize,
    /// Fields of a record.
    pub record_fields: usize,
    /// Levels of nesting of a value.
    pub depth: usize,
    /// Seconds a device's clock may run ahead.
    pub clock_skew_s: u32,
    /// Events a page may be asked for.
    pub page_events: usize,
    /// Milliseconds a pull may wait.
    pub pull_wait_ms: u64,
    /// Milliseconds a push may wait for the projector.
    pub push_wait_ms: u64,
}

impl Limits {
    /// The limits of this build under a catalog's clock skew.
    pub fn with_clock_skew_s(clock_skew_s: u32) -> Self {
        Self {
            batch_ops: limits::BATCH_OPS_MAX,
            body_bytes: limits::BODY_BYTES_MAX,
            inflated_bytes: limits::INFLATED_BYTES_MAX,
            field_bytes: limits::FIELD_BYTES_MAX,
            record_bytes: limits::RECORD_BYTES_MAX,
            record_fields: limits::RECORD_FIELDS_MAX,
            depth: limits::DEPTH_MAX,
            clock_skew_s,
            page_events: limits::PAGE_EVENTS_MAX,
            pull_wait_ms: limits::PULL_WAIT_MS_MAX,
            push_wait_ms: limits::PUSH_WAIT_MS_MAX,
        }
    }
}

/// The answer of `GET /catalog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatalogView {
    /// Its version.
    pub version: i64,
    /// The catalog as it was written.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub catalog: CatalogFile,
}
