//! The responses to `POST /sync/push`, `POST /sync`, `GET /sync/ops` and `GET /sync/ops/{seq}`.

use serde::{Deserialize, Serialize};

use crate::ids::{ConflictId, Position, Seq};
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::wire::{PullResponse, RecordView};

/// The response to `POST /sync/push`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The last sequence number of the device that is stored, after the push.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub last_seq: i64,
    /// The last position in the log of the workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// The positions of all ops of the push, in the order of their sequence numbers.
    pub runs: Vec<Run>,
    /// The number of ops of the push that had been stored before.
    pub duplicates: usize,
    /// The ops of the push that were rejected.
    pub rejected: Vec<Rejected>,
    /// The clock of the server.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub server_time: UnixMs,
    /// With `wait`: whether the projector has folded the push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded: Option<bool>,
    /// With `wait`: the ops with another verdict than `applied`, or with conflicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<Outcome>>,
    /// With `records`: true if the outcomes after the last one with a `record` lack theirs, because all of them would be
    /// too much for one response. `GET /sync/ops` has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_records: bool,
}

/// Ops that are next to each other in the log: op `seq + i` is at `position + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// The sequence number of the first op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The number of ops.
    pub count: i64,
    /// The position of the first op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
}

/// An op that was rejected: it is stored, and has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rejected {
    /// The sequence number of the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The position of the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Why the op was rejected, as a stable code.
    pub code: String,
    /// Why the op was rejected, in a sentence for people.
    pub detail: String,
}

/// The verdict of an op, with its conflicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// The sequence number of the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The verdict of the op.
    pub verdict: Verdict,
    /// The ids of the conflicts that the op won or lost.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
    /// With `records`: the record that the op names, as it is now; left out if there is none that the device may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
}

/// What became of an op: the response to `GET /sync/ops/{seq}`, and an item of the response to `GET /sync/ops`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpStatus {
    /// The sequence number of the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The position of the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The verdict of the op; `pending` until it is folded.
    pub verdict: Verdict,
    /// Why the op was rejected, as a stable code; left out if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why the op was rejected, in a sentence for people by the catalog in force; left out if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The ids of the conflicts that the op won or lost.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
    /// With `records`: the record that the op names, as it is now; left out if there is none that the device may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
}

/// The ops of a device that did not simply apply: the response to `GET /sync/ops`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpsResponse {
    /// The ops in the order of their sequence numbers. Every op after `after` and up to `folded_to` that is not among
    /// them has applied.
    pub ops: Vec<OpStatus>,
    /// The sequence number up to which the page is complete: the next page begins after it. If there is no more, the ops
    /// after it are not folded yet.
    pub folded_to: i64,
    /// The last sequence number of the device that is stored.
    pub last_seq: i64,
    /// Whether there may be more such ops that are folded.
    pub more: bool,
}

/// The response to `POST /sync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncResponse {
    /// What the response to `POST /sync/push` would be.
    pub push: PushResponse,
    /// What the response to `GET /sync/pull` would be.
    pub pull: PullResponse,
}
