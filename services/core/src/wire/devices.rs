//! Devices: registering and listing.

use serde::{Deserialize, Serialize};

use crate::error::Code;
use crate::ids::{DeviceId, Position, Role, Scopes, WorkspaceId};
use crate::limits::{APP_BYTES_MAX, NAME_BYTES_MAX};
use crate::text::Text;
use crate::time::UnixMs;
use crate::wire::decode::Named;

/// The body of `POST /devices`.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisterRequest {
    /// A name for people.
    pub name: String,
    /// The platform, for the operator.
    pub platform: Option<String>,
    /// The device this one stands in for.
    pub replaces: Option<DeviceId>,
}

/// The body of `POST /devices`, member by member.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RegisterRequest))]
#[serde(deny_unknown_fields)]
pub struct RegisterWire {
    /// A name for people, 1 to 255 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    name: Text,
    /// The platform, up to 64 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    platform: Option<Text>,
    /// The device that this one stands in for.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    replaces: Option<DeviceId>,
}

impl<'de> Deserialize<'de> for RegisterRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named(RegisterWire { name: Text(name), platform, replaces }) = Deserialize::deserialize(deserializer)?;
        let platform = platform.map(|Text(platform)| platform);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
            return Err(Code::NameInvalid.custom("name has 1 to 255 bytes of UTF-8 without NUL"));
        }
        if platform.as_ref().is_some_and(|text| text.len() > APP_BYTES_MAX || text.contains('\0')) {
            return Err(Code::NameInvalid.custom("platform has at most 64 bytes of UTF-8 without NUL"));
        }
        Ok(Self { name, platform, replaces })
    }
}

/// A registered device with its token, which is shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterResponse {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// Its workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// Its role.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Its scopes beyond `""`; `["*"]` for all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub scopes: Scopes,
    /// Its token.
    pub token: String,
    /// 0: it has pushed nothing.
    pub last_seq: i64,
}

/// A device as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceView {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Its platform, if it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its app's version, if it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Its role.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// Its scopes beyond `""`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub scopes: Scopes,
    /// When it was registered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub registered_at: UnixMs,
    /// When it was last heard of; absent where never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_seen_at: Option<UnixMs>,
    /// Its last stored seq; 0 before the first.
    pub last_seq: i64,
    /// How many positions its acknowledged cursor is behind head.
    pub behind: i64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The device it stands in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub replaces: Option<DeviceId>,
    /// The position it has acknowledged.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub acknowledged: Position,
}

/// The answer of `GET /devices`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceList {
    /// The workspace's devices, oldest first.
    pub devices: Vec<DeviceView>,
}
