//! Push: operations up, what became of them down.

mod fast_path;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::limits::APP_BYTES_MAX;
use crate::log::cursor::Cursor;
use crate::log::op::{Kind, Op, intent_of};
use crate::log::verdict::Verdict;
use crate::text::Text;
use crate::time::UnixMs;
use crate::value::PackedFields;
use crate::wire::PullResponse;
use crate::wire::decode::Named;

/// The body of `POST /sync/push`.
#[derive(Debug, Clone, PartialEq)]
pub struct PushRequest {
    /// The device's cursor now; it also acknowledges what was read.
    pub cursor: Option<Cursor>,
    /// The app's version, for the operator's device list.
    pub app: Option<String>,
    /// The operations in seq order.
    pub ops: Vec<Op>,
}

/// The body of `POST /sync`: push and pull in one round trip.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    /// What to push.
    pub push: PushRequest,
    /// Most events of the page.
    pub limit: Option<u64>,
    /// Tables of the page; all readable ones without.
    pub tables: Option<Vec<TableName>>,
}

/// The body of `POST /sync`, member by member.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncRequest))]
#[serde(deny_unknown_fields)]
pub struct SyncWire {
    /// The device's cursor now; it also acknowledges what was read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    cursor: Option<Cursor>,
    /// The app's version.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    app: Option<Text>,
    /// The operations, in seq order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<OpMembers>))]
    ops: Vec<Named<OpWire>>,
    /// Most events of the page, 1 to 10,000.
    limit: Option<u64>,
    /// Tables of the page; all readable ones without.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    tables: Option<Vec<TableName>>,
}

/// The body of `POST /sync/push`, member by member.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PushRequest))]
#[serde(deny_unknown_fields)]
pub struct PushWire {
    /// The device's cursor now; it also acknowledges what was read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    cursor: Option<Cursor>,
    /// The app's version.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    app: Option<Text>,
    /// The operations, in seq order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<OpMembers>))]
    ops: Vec<Named<OpWire>>,
}

fn push_request<E: serde::de::Error>(
    cursor: Option<Cursor>,
    app: Option<Text>,
    ops: Vec<Named<OpWire>>,
) -> Result<PushRequest, E> {
    let app = app.map(|Text(app)| app);
    if app.as_ref().is_some_and(|app| !is_app(app)) {
        return Err(Code::NameInvalid.custom("app has at most 64 bytes of UTF-8 without NUL"));
    }
    Ok(PushRequest { cursor, app, ops: ops.into_iter().map(|op| op.0.0).collect() })
}

pub(super) fn is_app(text: &str) -> bool {
    text.len() <= APP_BYTES_MAX && !text.contains('\0')
}

impl<'de> Deserialize<'de> for PushRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named(PushWire { cursor, app, ops }) = Deserialize::deserialize(deserializer)?;
        push_request(cursor, app, ops)
    }
}

impl<'de> Deserialize<'de> for SyncRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named(SyncWire { cursor, app, ops, limit, tables }) = Deserialize::deserialize(deserializer)?;
        Ok(Self { push: push_request(cursor, app, ops)?, limit, tables })
    }
}

/// An operation read from its members.
struct OpWire(Op);

/// An operation, member by member.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Op))]
#[serde(deny_unknown_fields)]
pub struct OpMembers {
    /// The device's own number, dense from 1.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    seq: Seq,
    /// 1 to 63 of a-z, 0-9 and _, starting with a letter.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    table: TableName,
    /// 1 to 255 bytes without NUL.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    record: RecordId,
    /// Up to 255 bytes without NUL; `""` without.
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    scope: Scope,
    /// What it does.
    kind: Kind,
    /// The fields that a put or resolve sets.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<PackedFields>,
    /// The conflict that a resolve names.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<ConflictId>,
    /// Whether a resolve deletes the record.
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
    /// The position up to which the device had taken in everything; the cursor's without.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Position>,
    /// When the device says it made the op; the server's time without.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<UnixMs>,
    /// Who held the device, up to 255 bytes without NUL.
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    #[serde(default = "Actor::nobody", skip_serializing_if = "Actor::is_nobody")]
    actor: Actor,
}

impl<'de> Deserialize<'de> for OpWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let op = OpMembers::deserialize(deserializer)?;
        if op.table.is_server_owned() {
            return Err(Code::NameInvalid.custom("tables that start with _ are the server's"));
        }
        let intent = intent_of(op.kind, op.fields, op.conflict, op.delete, PackedFields::empty);
        let intent = intent.map_err(|e| Code::OpInvalid.custom::<D::Error>(e))?;
        Ok(Self(Op {
            seq: op.seq,
            table: op.table,
            record: op.record,
            scope: op.scope,
            intent,
            base: op.base,
            at: op.at,
            actor: op.actor,
        }))
    }
}

impl Serialize for Op {
    /// The members of the wire, for clients.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = OpMembers {
            seq: self.seq,
            table: self.table.clone(),
            record: self.record.clone(),
            scope: self.scope.clone(),
            kind: self.intent.kind(),
            fields: self.intent.fields().cloned(),
            conflict: self.intent.conflict().cloned(),
            delete: self.intent.conflict().is_some() && self.intent.fields().is_none(),
            base: self.base,
            at: self.at,
            actor: self.actor.clone(),
        };
        members.serialize(serializer)
    }
}

impl Serialize for PushRequest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let members = 1 + usize::from(self.cursor.is_some()) + usize::from(self.app.is_some());
        let mut push = serializer.serialize_struct("PushRequest", members)?;
        if let Some(cursor) = &self.cursor {
            push.serialize_field("cursor", cursor)?;
        }
        if let Some(app) = &self.app {
            push.serialize_field("app", app)?;
        }
        push.serialize_field("ops", &self.ops)?;
        push.end()
    }
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The device's last stored seq after the push.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub last_seq: i64,
    /// The workspace's last position.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub head: Position,
    /// Where every op of the push stands, in seq order.
    pub runs: Vec<Run>,
    /// How many of them were stored before.
    pub duplicates: usize,
    /// The rejected ones among them.
    pub rejected: Vec<Rejected>,
    /// The server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub server_time: UnixMs,
    /// With `wait`: whether the projector has folded the push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded: Option<bool>,
    /// With `wait`: the ops that did not simply apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<Outcome>>,
}

/// Ops that stand side by side in the log: op `seq + i` is at `position + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// The first op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// How many.
    pub count: i64,
    /// The first op's place.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
}

/// An op that was stored without effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rejected {
    /// The op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// Its place.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// Why, as a stable code.
    pub code: String,
    /// Why, for a person.
    pub detail: String,
}

/// The verdict of an op that did not simply apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// The op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// What became of it.
    pub verdict: Verdict,
    /// The conflicts it made.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// The answer of `GET /sync/ops/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpStatus {
    /// The op.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub seq: Seq,
    /// Its place.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub position: Position,
    /// What became of it; `pending` until folded.
    pub verdict: Verdict,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The conflicts it made.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub conflicts: Vec<ConflictId>,
}

/// The answer to `POST /sync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncResponse {
    /// As of `POST /sync/push`.
    pub push: PushResponse,
    /// As of `GET /sync/pull`.
    pub pull: PullResponse,
}
