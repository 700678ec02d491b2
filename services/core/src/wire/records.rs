//! Records: the snapshot of a workspace, and what changed since a cursor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::cursor::Cursor;
use crate::time::UnixMs;
use crate::value::Fields;
use crate::wire::CatalogView;

/// A record, as clients read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordView {
    /// The table of the record.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub table: TableName,
    /// The id of the record within table and scope.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record: RecordId,
    /// The scope of the record; left out if it is `""`.
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: Scope,
    /// The position of the last event that changed the record for readers.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub version: Position,
    /// Whether the record is deleted.
    pub deleted: bool,
    /// The fields by name; empty if the record is deleted.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// When the server stored the event at `version`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: UnixMs,
    /// The open conflicts of the record, in the order of their position and field; left out if there are none. With
    /// `state=full` they are in `conflicts` instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub open: Vec<ConflictId>,
    /// With `state=full`: the position of the last event that named the record, even without changing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub touched: Option<Position>,
    /// With `state=full`: the event that set each field, by field name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers: Option<BTreeMap<String, WriterView>>,
    /// With `state=full`: the other contributions to each merge field, by field name. The newest is in `writers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub merged: BTreeMap<String, MergedView>,
    /// With `state=full`: the fields that a deleted record keeps until its retention is over. No reader sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub kept: Option<Fields>,
    /// With `state=full`: the newest delete since the record last lived, if there was one. It stays when the record is
    /// brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delete: Option<DeleteView>,
    /// With `state=full`: the other deletes since the record last lived, in position order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_deletes: Vec<DeleteView>,
    /// With `state=full`: the position of the newest delete since the record last lived for which there was no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub deletes_lost: Option<Position>,
    /// With `state=full`: what `last_delete` was before the life of the record ended, if the record is deleted and was
    /// deleted before. It is the last delete again if all newer ones turn out to have lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_before: Option<DeleteView>,
    /// With `state=full`: what `other_deletes` were then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_deletes_before: Vec<DeleteView>,
    /// With `state=full`: what `deletes_lost` was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub deletes_lost_before: Option<Position>,
    /// With `state=full`: the open conflicts of the record, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, OpenConflictView>>))]
    pub conflicts: Option<BTreeMap<ConflictId, OpenConflictView>>,
    /// With `state=full`: the newest closed conflicts of the record, by id. A resolve may still name them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, ClosedConflictView>))]
    pub closed_conflicts: BTreeMap<ConflictId, ClosedConflictView>,
}

/// The contributions to a merge field, beside the newest one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MergedView {
    /// The newest contribution of each other device, in position order.
    pub others: Vec<WriterView>,
    /// The exact sum as decimal text, if it exceeds 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

/// A closed conflict, as its record remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClosedConflictView {
    /// Whether a rule decided the conflict. Otherwise it was resolved or overtaken.
    pub automatic: bool,
    /// The position of the other event of the conflict, beside the one that its id names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub other: Option<Position>,
}

/// An open conflict: a person has to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenConflictView {
    /// The event that the loser lost to.
    pub winner: EventPlaceView,
    /// The event whose value lost.
    pub loser: EventPlaceView,
}

/// An event of an open conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPlaceView {
    /// The position of the event.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The id of the device that made the op; of a readmitted op, of the device that made it first.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The seq under which that device made the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
}

/// The event that set a field or deleted a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WriterView {
    /// The position of the event.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The id of the device that made the op; of a readmitted op, of the device that made it first.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The seq under which that device made the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The role of the device when the event was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// The effective time of the event: its `at`, limited to the clock skew after it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
}

/// A delete of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeleteView {
    /// The event that deleted the record.
    pub writer: WriterView,
    /// When the server stored the delete. The retention of the record counts from the newest delete.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub received_at: UnixMs,
}

/// An earlier name of a device: it has made the ops of the other one up to a seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AliasView {
    /// The id of the device that it replaces.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The last seq of that device that counts; 0 if none does.
    pub through: i64,
}

/// A page of records: the response to `GET /sync/records`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsResponse {
    /// The records, in the order of `version`, or of `touched` with `state=full`.
    pub records: Vec<RecordView>,
    /// How far the page goes.
    #[serde(flatten)]
    pub end: RecordsEnd,
}

/// How far a page of records goes. The last line of a read as NDJSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsEnd {
    /// The cursor to read after next.
    pub cursor: String,
    /// The position of the cursor.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether there are more records. The state is consistent once there are not.
    pub more: bool,
    /// On the last page: the cursor to pull after, for the events that are not in these records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub pull_cursor: Option<Cursor>,
    /// On the last page with `state=full`: the catalog in force at `position`, to fold further events with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogView>,
    /// On the last page with `state=full`: the earlier names that devices have at `position`, to fold further events with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, AliasView>))]
    pub replaced: BTreeMap<DeviceId, AliasView>,
    /// Tables that the caller may read since its cursor. It has to read all of their records, without a cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables that the caller may no longer read since its cursor. It has to forget their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
    /// Scopes that the caller may read since its cursor; `*` is every scope. It has to read all of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resync_scopes: Vec<String>,
    /// Scopes that the caller may no longer read since its cursor; `*` is every scope but `""`. It has to forget their
    /// records, before it reads what `resync_scopes` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_scopes: Vec<String>,
}
