//! The status of the server for a workspace, and the catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogFile;
use crate::ids::{Position, TableName, WorkspaceId};
use crate::limits;
use crate::time::UnixMs;

/// The response to `GET /sync/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// Always `online`.
    pub status: String,
    /// The version of the server.
    pub version: String,
    /// The clock of the server.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: UnixMs,
    /// The workspace of the caller.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub workspace: WorkspaceId,
    /// The tables that the caller may read.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub tables: Vec<TableName>,
    /// The version of the catalog in force.
    pub catalog: i64,
    /// The last position in the log of the workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// The checkpoint of the projector: the position up to which events are folded into records.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub projected: Position,
    /// The position at which `digests` and `records` hold.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub digests_at: Position,
    /// The digest of the live records of each table at `digests_at`, limited to what the caller may read, as 32
    /// hexadecimal digits. Replicas with the same records have the same digests. A table without records may be
    /// missing.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub digests: BTreeMap<TableName, String>,
    /// The number of live records of each table at `digests_at`, limited to what the caller may read.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, i64>))]
    pub records: BTreeMap<TableName, i64>,
    /// The log reaches back to the event after this position. Always 0 at present: no log is cut.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub horizon: Position,
    /// The number of devices that made a request in the last 30 days.
    pub active_devices: i64,
    /// The number of open conflicts, which a person must settle.
    pub open_conflicts: i64,
    /// When each device last made a request, by device name. If several devices share a name, the latest counts.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub last_sync: BTreeMap<String, UnixMs>,
    /// The limits of this server.
    pub limits: Limits,
}

/// The limits of a server, which clients have to stay within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Largest number of operations in one push.
    pub batch_ops: usize,
    /// Largest sum of the encoded `fields` of one push, in bytes of MessagePack.
    pub batch_bytes: usize,
    /// Largest request body on the wire, in bytes.
    pub body_bytes: usize,
    /// Largest request body after decompression, in bytes.
    pub inflated_bytes: usize,
    /// Largest encoded `fields` of one op, in bytes of MessagePack.
    pub field_bytes: usize,
    /// Largest weight of a record, in bytes.
    pub record_bytes: usize,
    /// Largest number of fields of a record.
    pub record_fields: usize,
    /// Deepest nesting of a value, in levels.
    pub depth: usize,
    /// How far the clock of a device may run ahead of the server, in seconds.
    pub clock_skew_s: u32,
    /// Largest `limit` of a page, in events.
    pub page_events: usize,
    /// Longest `wait` of a pull or of a read of records, in milliseconds.
    pub pull_wait_ms: u64,
    /// Longest `wait` of a push for the projector, in milliseconds.
    pub push_wait_ms: u64,
}

impl Limits {
    /// The limits of this build, with the clock skew of a catalog.
    pub fn with_clock_skew_s(clock_skew_s: u32) -> Self {
        Self {
            batch_ops: limits::BATCH_OPS_MAX,
            batch_bytes: limits::BATCH_BYTES_MAX,
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

/// The response to `GET /catalog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatalogView {
    /// The version of the catalog.
    pub version: i64,
    /// The catalog as it was written.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub catalog: CatalogFile,
}
