//! The request bodies of `POST /sync/push` and `POST /sync`.

use serde::de::{self, Deserializer};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::Code;
use crate::ids::{Scope, TableName};
use crate::limits::APP_BYTES_MAX;
use crate::log::cursor::Cursor;
use crate::log::op::Op;
use crate::text::{Text, is_storable};
use crate::wire::decode::MapOnly;
#[cfg(feature = "openapi")]
use crate::wire::push::op::OpMembers;

/// The body of `POST /sync/push`.
#[derive(Debug, Clone, PartialEq)]
pub struct PushRequest {
    /// The cursor of the device. It also acknowledges the events up to its position.
    pub cursor: Option<Cursor>,
    /// The version of the app, which the operator sees in the list of devices.
    pub app: Option<String>,
    /// The operations, in the order of their sequence numbers.
    pub ops: Vec<Op>,
}

/// The body of `POST /sync`, which pushes and pulls in one round trip.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    /// What to push.
    pub push: PushRequest,
    /// The largest number of events in the page that is pulled.
    pub limit: Option<u64>,
    /// The tables whose events are pulled; `None` for all tables that the device may read.
    pub tables: Option<Vec<TableName>>,
    /// The scopes whose events are pulled, beside `""`; `None` for all scopes of the device.
    pub scopes: Option<Vec<Scope>>,
}

/// The body of `POST /sync/push`.
//
// `SyncMembers` repeats these members, because serde cannot flatten a struct and refuse unknown members.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PushRequest))]
#[serde(deny_unknown_fields)]
pub struct PushMembers {
    /// The current cursor of the device. It also acknowledges the events up to its position.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    cursor: Option<Cursor>,
    /// The version of the app: up to 64 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    app: Option<Text>,
    /// The operations, in the order of their sequence numbers.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<OpMembers>))]
    ops: Vec<Op>,
}

/// The body of `POST /sync`, which pushes and pulls in one round trip.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncRequest))]
#[serde(deny_unknown_fields)]
pub struct SyncMembers {
    /// The current cursor of the device. It also acknowledges the events up to its position, and the pull goes on after
    /// it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    cursor: Option<Cursor>,
    /// The version of the app: up to 64 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    app: Option<Text>,
    /// The operations, in the order of their sequence numbers.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<OpMembers>))]
    ops: Vec<Op>,
    /// The largest number of events in the page that is pulled: 1 to 10,000.
    limit: Option<u64>,
    /// The tables whose events are pulled. All tables that the device may read if left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    tables: Option<Vec<TableName>>,
    /// The scopes whose events are pulled, beside `""`. All scopes of the device if left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    scopes: Option<Vec<Scope>>,
}

impl PushMembers {
    fn into_request<E: de::Error>(self) -> Result<PushRequest, E> {
        let app = self.app.map(|Text(app)| app);
        if app.as_ref().is_some_and(|app| !is_app(app)) {
            return Err(Code::NameInvalid.custom("app has to be at most 64 bytes of UTF-8 without NUL"));
        }
        Ok(PushRequest { cursor: self.cursor, app, ops: self.ops })
    }
}

/// Whether a text can be the version of an app.
pub(super) fn is_app(text: &str) -> bool {
    is_storable(text, APP_BYTES_MAX)
}

impl<'de> Deserialize<'de> for PushRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(members) = MapOnly::<PushMembers>::deserialize(deserializer)?;
        members.into_request()
    }
}

impl<'de> Deserialize<'de> for SyncRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(SyncMembers { cursor, app, ops, limit, tables, scopes }) = Deserialize::deserialize(deserializer)?;
        Ok(Self { push: PushMembers { cursor, app, ops }.into_request()?, limit, tables, scopes })
    }
}

impl Serialize for PushRequest {
    /// Writes the members of the wire, for clients.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
