//! Records: snapshot and delta.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ConflictId, DeviceId, Position, RecordId, Role, Scope, TableName};
use crate::log::cursor::Cursor;
use crate::time::UnixMs;
use crate::value::Fields;
use crate::wire::CatalogView;

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordView {
    /// Its table.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub table: TableName,
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record: RecordId,
    /// Its scope; left out where empty.
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: Scope,
    /// The position of the last event that changed what a reader sees.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub version: Position,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Its fields; none of a tombstone.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// When the event at `version` was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: UnixMs,
    /// With `state=full`: the position of the last event that named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub touched: Option<Position>,
    /// With `state=full`: the writer of each field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers: Option<BTreeMap<String, WriterView>>,
    /// With `state=full`: what merge fields are made of, beside their newest contributor, who is their writer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub merged: BTreeMap<String, MergedView>,
    /// With `state=full`: the fields that a tombstone keeps until its retention is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub kept: Option<Fields>,
    /// With `state=full`: the last delete, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delete: Option<DeleteView>,
    /// With `state=full`: of a tombstone the delete before the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_before: Option<DeleteView>,
    /// With `state=full`: the open conflicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, OpenConflictView>>))]
    pub conflicts: Option<BTreeMap<ConflictId, OpenConflictView>>,
    /// With `state=full`: the newest other conflicts, for resolves that name them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, ClosedConflictView>))]
    pub closed_conflicts: BTreeMap<ConflictId, ClosedConflictView>,
}

/// What a merge field is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MergedView {
    /// The other devices' newest contributions, in position order.
    pub others: Vec<WriterView>,
    /// The exact sum in decimal, where it is none of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

/// A conflict that is not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClosedConflictView {
    /// Whether a rule decided it; else it was resolved or overtaken.
    pub automatic: bool,
    /// Its event beside the one that its id names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub other: Option<Position>,
}

/// A conflict that a person has to settle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenConflictView {
    /// The event whose value stands.
    pub winner: EventPlace,
    /// The event whose value lost.
    pub loser: EventPlace,
}

/// An event as later ones are judged against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPlace {
    /// Its position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Its device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
}

/// The event that set a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WriterView {
    /// Its position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Its device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// Its device's role.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Its effective time.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
}

/// The last delete of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeleteView {
    /// Who deleted it.
    pub writer: WriterView,
    /// When that was stored: retention counts from here.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub received_at: UnixMs,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsResponse {
    /// In version order; in `touched` order with `state=full`.
    pub records: Vec<RecordView>,
    /// How far they go.
    #[serde(flatten)]
    pub end: RecordsEnd,
}

/// How far a page of records goes; the last line of an NDJSON read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsEnd {
    /// What to read after next.
    pub cursor: String,
    /// How far the cursor covers.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether there are more; the state is consistent when there are not.
    pub more: bool,
    /// On the last page: from where to pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub pull_cursor: Option<Cursor>,
    /// On the last page with `state=full`: the catalog in force at `position`, to fold on under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogView>,
    /// Tables the caller may read since its cursor: read them anew, without a cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables the caller may no longer read since its cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
}
