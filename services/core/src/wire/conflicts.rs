//! The conflicts and a record's history: what lost against what, and what became of every event.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::value::Value;
use crate::wire::EventView;
use crate::wire::decode::Named;

/// A conflict as it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictView {
    /// Its id: `<position of the op that met it>.<field>`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub conflict: ConflictId,
    /// The table of the record.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub table: TableName,
    /// The record.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record: RecordId,
    /// Its scope; left out where empty.
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: Scope,
    /// The field; empty of a delete that lost.
    pub field: String,
    /// What decided it: a rule, a merge, what the table says of deletes, `retention`, `limit` or `resolved`.
    pub rule: String,
    /// `open`, `resolved`, `overtaken` or `automatic`.
    pub status: String,
    /// What stood afterwards; left out where nothing stood against the loser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<SideView>,
    /// What lost.
    pub loser: SideView,
    /// The event that resolved it or overtook it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub resolved_by: Option<Position>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SideView {
    /// The event.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The device that made it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The device's role at that time.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Who held the device; left out where empty.
    #[serde(default = "Actor::nobody", skip_serializing_if = "Actor::is_nobody")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub actor: Actor,
    /// When its device says it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
    /// What it wanted of the field; left out of a delete, and where it stood against the op as a whole.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub value: Option<Value>,
    /// Whether it wanted the record deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A page of the conflicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictsResponse {
    /// In the order of the ops that met them, and of their fields.
    pub conflicts: Vec<ConflictView>,
    /// What to read after next; left out of a page of nothing from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether there may be more.
    pub more: bool,
}

/// How somebody settles a conflict.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// What stands now stays.
    Winner,
    /// What lost comes back.
    Loser,
    /// Neither: this value.
    Value(Value),
}

/// The body of `POST /conflicts/{conflict}/resolve`, member by member.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ResolveRequest))]
#[serde(deny_unknown_fields)]
pub struct ResolveWire {
    /// `winner` keeps what stands now, `loser` restores what lost.
    #[serde(default)]
    choose: Option<Side>,
    /// Or the value to set.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    value: Option<Value>,
}

/// A side of a conflict to choose.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
enum Side {
    Winner,
    Loser,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named(ResolveWire { choose, value }) = Deserialize::deserialize(deserializer)?;
        match (choose, value) {
            (Some(Side::Winner), None) => Ok(Self::Winner),
            (Some(Side::Loser), None) => Ok(Self::Loser),
            (None, Some(value)) => Ok(Self::Value(value)),
            _ => Err(Code::ShapeInvalid.custom("give either choose, winner or loser, or a value")),
        }
    }
}

/// What settling a conflict came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveResponse {
    /// The place of the op that does it.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Its number among the system device's.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// With `wait`: what became of it, `pending` if it is not folded yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// With `wait`: the conflicts that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// An event with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEvent {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// What became of it.
    pub verdict: Verdict,
    /// The conflicts that it made, won or lost.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// A page of a record's history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryResponse {
    /// The events that named the record, oldest first, as far as they are folded.
    pub events: Vec<HistoryEvent>,
    /// What to read after next.
    pub cursor: String,
    /// Whether there are more.
    pub more: bool,
}

/// A member that is there, null or not.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
