//! Conflicts, their resolution, and the history of a record.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::value::Value;
use crate::wire::EventView;
use crate::wire::decode::MapOnly;

/// A conflict: two writes that did not know of each other and differ, with the one that won.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictView {
    /// The id of the conflict: `<position of the later event>.<field>`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub conflict: ConflictId,
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
    /// The field in conflict; `""` if a delete lost.
    pub field: String,
    /// What decided the conflict: a rule, the `on_delete` of the table, `retention`, `limit` or `resolved`.
    pub rule: String,
    /// `open`: a person must choose. `automatic`: a rule decided. `resolved`: a resolve named the conflict.
    /// `overtaken`: a later op that knew both events wrote the field or deleted the record.
    pub status: String,
    /// The side that won; left out if nothing stood in the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<SideView>,
    /// The event that beat the op, if the op lost as a whole under granularity `record`. It may have written another
    /// field than this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beaten_by: Option<AuthoredEvent>,
    /// The side that lost.
    pub loser: SideView,
    /// The position of the event that resolved or overtook the conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub resolved_by: Option<Position>,
    /// The position at which the conflict last changed: where it was made, or was resolved or overtaken.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub changed_at: Position,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SideView {
    /// The event of this side.
    #[serde(flatten)]
    pub event: AuthoredEvent,
    /// The value that the event wrote. Left out for a delete, and for a side that opposed the op as a whole.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub value: Option<Value>,
    /// Whether the event deleted the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// An event of a conflict, with who made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthoredEvent {
    /// The position of the event.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The id of the device that made the op; of a readmitted op, of the device that made it first.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The role of the device when the event was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Who held the device, as the app names people; left out if the op names nobody.
    #[serde(default = "Actor::nobody", skip_serializing_if = "Actor::is_nobody")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub actor: Actor,
    /// When the op was made, by the clock of the device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: UnixMs,
}

/// A page of conflicts: the response to `GET /conflicts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictsResponse {
    /// The conflicts, in the order of the position and the field in their ids; with `changed_after`, in the order of
    /// `changed_at` first.
    pub conflicts: Vec<ConflictView>,
    /// The cursor to read after next, also of an empty page. The first version left it out if there was no conflict at
    /// all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether there may be more conflicts.
    pub more: bool,
}

/// How a conflict is to be settled.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// The value in force stays.
    Winner,
    /// The value that lost is restored.
    Loser,
    /// This value is set, instead of both.
    Value(Value),
}

/// The body of `POST /conflicts/{conflict}/resolve`: either `choose` or `value`.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ResolveRequest))]
#[serde(deny_unknown_fields)]
pub struct ResolveMembers {
    /// `winner` keeps the value in force, `loser` restores the value that lost.
    #[serde(default)]
    choose: Option<Side>,
    /// The value to set.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    value: Option<Value>,
}

/// The side of a conflict that is chosen.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
enum Side {
    /// The value in force.
    Winner,
    /// The value that lost.
    Loser,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(ResolveMembers { choose, value }) = Deserialize::deserialize(deserializer)?;
        match (choose, value) {
            (Some(Side::Winner), None) => Ok(Self::Winner),
            (Some(Side::Loser), None) => Ok(Self::Loser),
            (None, Some(value)) => Ok(Self::Value(value)),
            _ => Err(Code::ShapeInvalid.custom("give either choose (winner or loser) or value")),
        }
    }
}

/// The response to `POST /conflicts/{conflict}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveResponse {
    /// The position of the op that settles the conflict.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// The sequence number of this op, which the system device made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// With `wait`: the verdict of this op; `pending` if it is not folded yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// With `wait`: the ids of the conflicts that this op won or lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// An event with its verdict and its conflicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEvent {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// The verdict of the event.
    pub verdict: Verdict,
    /// The ids of the conflicts that the event won or lost.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// A page of the history of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryResponse {
    /// The events that named the record, the oldest first, up to the position that the projector has folded.
    pub events: Vec<HistoryEvent>,
    /// The cursor to read after next.
    pub cursor: String,
    /// Whether there are more events.
    pub more: bool,
}

/// Reads a member that was given, also as null: null is a value.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
