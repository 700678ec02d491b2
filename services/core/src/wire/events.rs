//! Pull: events down.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogEventError};
use crate::error::plain_message;
use crate::ids::{Actor, CatalogVersion, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::cursor::Cursor;
use crate::log::digest::Digest;
use crate::log::event::Event;
use crate::log::op::{Kind, intent_of};
use crate::time::UnixMs;
use crate::value::Fields;

/// An event as it is pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Its place in the workspace's log.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The position of the first event of its batch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub batch: Position,
    /// The device that made it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// That device's number of it.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// The table of the record.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub table: TableName,
    /// The record.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record: RecordId,
    /// The scope of the record; left out where empty.
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: Scope,
    /// What it does.
    pub kind: Kind,
    /// The fields a put or resolve sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub fields: Option<Fields>,
    /// The conflict a resolve names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub conflict: Option<ConflictId>,
    /// Whether a resolve deletes the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// The position up to which its device had taken in everything.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub base: Position,
    /// When its device says it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
    /// When the server stored it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub received_at: UnixMs,
    /// The device's role at that time.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Who held the device; left out where empty.
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
            delete: event.intent.conflict().is_some() && event.intent.fields().is_none(),
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

/// Why a pulled event makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event at {position}: {what}")]
pub struct ReadError {
    position: Position,
    what: &'static str,
}

impl TryFrom<EventView> for Event {
    type Error = ReadError;

    /// The event as the fold takes it. Its digest is the server's own business and stays 0.
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

impl Catalog {
    /// The catalog of a `_catalog` event as it is pulled in MessagePack.
    pub fn from_packed_event(event: &[u8]) -> Result<(CatalogVersion, Self), CatalogEventError> {
        let event: EventView =
            rmp_serde::from_slice(event).map_err(|e| CatalogEventError::Shape(plain_message(&e.to_string())))?;
        Self::from_fields(event.fields.as_ref().ok_or(CatalogEventError::NoFields)?)
    }
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResponse {
    /// What to pull after next.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub cursor: Cursor,
    /// How far the cursor covers: the base of ops made from now on.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether the log goes on after the cursor.
    pub more: bool,
    /// The workspace's last position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// The version of the catalog in force; 0 before the first.
    pub catalog: i64,
    /// The server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub server_time: UnixMs,
    /// Tables the device may read since this page: take their records anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables the device may no longer read since this page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
    /// Whole batches, in position order. The last member, so that who streams a page knows what it is first.
    pub events: Vec<EventView>,
}

/// The last line of an NDJSON pull.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullEnd {
    /// What to pull after next.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub cursor: Cursor,
    /// How far the cursor covers.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Whether the log goes on after the cursor.
    pub more: bool,
    /// Tables the device may read since these lines: take their records anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub resync: Vec<TableName>,
    /// Tables the device may no longer read since these lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub drop: Vec<TableName>,
}
