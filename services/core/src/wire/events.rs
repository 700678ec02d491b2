//! Pulls: events down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::error::plain_message;
use crate::ids::{Actor, ConflictId, DEVICES_TABLE, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::cursor::Cursor;
use crate::log::device_change::DeviceChange;
use crate::log::digest::Digest;
use crate::log::event::Event;
use crate::log::op::{Kind, intent_of};
use crate::time::UnixMs;
use crate::value::Fields;

/// An event: an op that was stored in the log, as clients pull it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// The position of the event in the log of the workspace: dense from 1, in the order of storing.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The position of the first event of the batch. A batch is the ops of one push.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub batch: Position,
    /// The id of the device that made the op.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The sequence number that the device gave the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
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
    /// What the event does to the record.
    pub kind: Kind,
    /// The fields that a put or resolve sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub fields: Option<Fields>,
    /// The id of the conflict that a resolve settles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub conflict: Option<ConflictId>,
    /// Whether a resolve deletes the record, instead of setting fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// The position up to which the device had read the log when it made the op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub base: Position,
    /// When the op was made, by the clock of the device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
    /// When the server stored the event.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub received_at: UnixMs,
    /// The role of the device when the event was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Who held the device, as the app names people; left out if the op names nobody.
    #[serde(default = "Actor::nobody", skip_serializing_if = "Actor::is_nobody")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub actor: Actor,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            position: event.position,
            batch: event.batch,
            device: event.device,
            seq: event.seq,
            table: event.table,
            record: event.record,
            scope: event.scope,
            kind: event.intent.kind(),
            delete: event.intent.is_resolve_by_delete(),
            conflict: event.intent.conflict().cloned(),
            fields: event.intent.fields().cloned(),
            base: event.base,
            at: event.at,
            received_at: event.received_at,
            role: event.role,
            actor: event.actor,
        }
    }
}

/// Why a pulled event cannot be folded: its members contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event at {position}: {what}")]
pub struct ReadError {
    position: Position,
    what: &'static str,
}

impl TryFrom<EventView> for Event {
    type Error = ReadError;

    /// Converts a pulled event for the fold. The digest is 0, because clients do not get the digests of the server.
    fn try_from(view: EventView) -> Result<Self, ReadError> {
        let position = view.position;
        let intent = intent_of(view.kind, view.fields, view.conflict, view.delete, Fields::default);
        Ok(Self {
            position,
            batch: view.batch,
            device: view.device,
            seq: view.seq,
            table: view.table,
            record: view.record,
            scope: view.scope,
            intent: intent.map_err(|what| ReadError { position, what })?,
            base: view.base,
            at: view.at,
            received_at: view.received_at,
            role: view.role,
            actor: view.actor,
            rejected: None,
            digest: Digest(0),
        })
    }
}

/// An event that may change what a reader sees.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessEvent {
    /// A `_catalog` event, with its catalog.
    Catalog(Box<Catalog>),
    /// A `_devices` event.
    Device(DeviceChange),
}

impl AccessEvent {
    /// Reads a `_catalog` or `_devices` event that was encoded in MessagePack.
    pub fn from_packed(event: &[u8]) -> Result<Self, String> {
        let event: EventView = rmp_serde::from_slice(event).map_err(|e| plain_message(&e.to_string()))?;
        let fields = event.fields.unwrap_or_default();
        if event.table.as_str() == DEVICES_TABLE {
            return DeviceChange::from_fields(&event.record, &fields).map(Self::Device).map_err(|e| e.to_string());
        }
        let catalog = Catalog::from_fields(&fields).map_err(|e| e.to_string())?;
        Ok(Self::Catalog(Box::new(catalog.1)))
    }
}

/// A page of events: the response to `GET /sync/pull`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResponse {
    /// The cursor to pull after next.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub cursor: Cursor,
    /// The position of the cursor. It is the `base` of ops that the device makes from now on.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether there are more events after the cursor.
    pub more: bool,
    /// The last position in the log of the workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// The version of the catalog in force; 0 if there is none yet.
    pub catalog: i64,
    /// The clock of the server.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub server_time: UnixMs,
    /// Tables that the device may read since this page. It has to read all of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables that the device may no longer read since this page. It has to forget their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
    /// Scopes that the device may read since this page; `*` is every scope. It has to read all of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resync_scopes: Vec<String>,
    /// Scopes that the device may no longer read since this page; `*` is every scope but `""`. It has to forget their records,
    /// before it reads what `resync_scopes` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_scopes: Vec<String>,
    /// With `digests=true`, if the projector is exactly at `position`: the digest of the live records of each table
    /// there, limited to what this pull shows, as 32 hexadecimal digits. A table without records may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub digests: Option<BTreeMap<TableName, String>>,
    /// The events, in position order, in whole batches. The last member of the page, so that a client that parses the
    /// page as a stream has the other members first.
    pub events: Vec<EventView>,
}

/// The last line of a pull as NDJSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullEnd {
    /// The cursor to pull after next.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub cursor: Cursor,
    /// The position of the cursor. It is the `base` of ops that the device makes from now on.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether there are more events after the cursor.
    pub more: bool,
    /// Tables that the device may read since these events. It has to read all of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables that the device may no longer read since these events. It has to forget their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
    /// Scopes that the device may read since these events; `*` is every scope. It has to read all of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resync_scopes: Vec<String>,
    /// Scopes that the device may no longer read since these events; `*` is every scope but `""`. It has to forget their records,
    /// before it reads what `resync_scopes` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_scopes: Vec<String>,
    /// With `digests=true`, if the projector is exactly at `position`: the digest of the live records of each table
    /// there, limited to what this pull shows, as 32 hexadecimal digits. A table without records may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub digests: Option<BTreeMap<TableName, String>>,
}
