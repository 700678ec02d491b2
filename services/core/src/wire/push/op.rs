//! An operation on the wire, in a push.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::log::op::{Kind, Op, intent_of};
use crate::time::UnixMs;
use crate::value::PackedFields;
use crate::wire::decode::MapOnly;

/// An operation that a device pushes.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Op))]
#[serde(deny_unknown_fields)]
pub struct OpMembers {
    /// The sequence number of the op. A device numbers its ops 1, 2, 3 and so on, without gaps.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    seq: Seq,
    /// The table of the record: 1 to 63 of a-z, 0-9 and _, starting with a letter.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    table: TableName,
    /// The id of the record within table and scope: 1 to 255 bytes without NUL.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    record: RecordId,
    /// The scope of the record: up to 255 bytes without NUL. `""` if left out.
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    #[serde(default = "Scope::everyone", skip_serializing_if = "Scope::is_everyones")]
    scope: Scope,
    /// What the op does to the record.
    kind: Kind,
    /// The fields that a put or resolve sets.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<PackedFields>,
    /// The id of the conflict that a resolve settles.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<ConflictId>,
    /// Whether a resolve deletes the record, instead of setting fields.
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
    /// The position up to which the device had read the log when it made the op. The position of `cursor` if left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Position>,
    /// When the op was made, by the clock of the device. The time of the server if left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<UnixMs>,
    /// Who held the device, as the app names people: up to 255 bytes without NUL.
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    #[serde(default = "Actor::nobody", skip_serializing_if = "Actor::is_nobody")]
    actor: Actor,
}

impl OpMembers {
    /// Checks that the members go together.
    fn into_op<E: serde::de::Error>(self) -> Result<Op, E> {
        if self.table.is_server_owned() {
            return Err(Code::NameInvalid.custom("tables whose names start with _ belong to the server"));
        }
        let intent = intent_of(self.kind, self.fields, self.conflict, self.delete, PackedFields::empty);
        Ok(Op {
            seq: self.seq,
            table: self.table,
            record: self.record,
            scope: self.scope,
            intent: intent.map_err(|error| Code::OpInvalid.custom::<E>(error))?,
            base: self.base,
            at: self.at,
            actor: self.actor,
        })
    }
}

impl<'de> Deserialize<'de> for Op {
    /// Reads the members of the wire, and checks that they go together.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(members) = MapOnly::<OpMembers>::deserialize(deserializer)?;
        members.into_op()
    }
}

impl Serialize for Op {
    /// Writes the members of the wire, for clients.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = OpMembers {
            seq: self.seq,
            table: self.table.clone(),
            record: self.record.clone(),
            scope: self.scope.clone(),
            kind: self.intent.kind(),
            fields: self.intent.fields().cloned(),
            conflict: self.intent.conflict().cloned(),
            delete: self.intent.is_resolve_by_delete(),
            base: self.base,
            at: self.at,
            actor: self.actor.clone(),
        };
        members.serialize(serializer)
    }
}
