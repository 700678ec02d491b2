//! Devices: registration and lists.

use serde::{Deserialize, Serialize};

use crate::error::Code;
use crate::ids::{DeviceId, Position, Role, Scopes, WorkspaceId};
use crate::limits::{APP_BYTES_MAX, NAME_BYTES_MAX, NONCE_CHARS_MAX, NONCE_CHARS_MIN, SCOPES_MAX};
use crate::text::{Text, is_storable};
use crate::time::UnixMs;
use crate::wire::decode::MapOnly;

/// The body of `POST /devices`, which registers a device.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisterRequest {
    /// The name of the device, for people.
    pub name: String,
    /// The platform of the device, which the operator sees in the list of devices.
    pub platform: Option<String>,
    /// The device that this one replaces.
    pub replaces: Option<DeviceId>,
    /// The last sequence number under which this device made ops as the one that it replaces.
    pub replaces_through: Option<i64>,
    /// What the client made up to name this registration.
    pub nonce: Option<String>,
}

/// The body of `POST /devices`, which registers a device.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RegisterRequest))]
#[serde(deny_unknown_fields)]
pub struct RegisterMembers {
    /// The name of the device, for people: 1 to 255 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    name: Text,
    /// The platform of the device, for example `ios`: up to 64 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    platform: Option<Text>,
    /// The id of the device that this one replaces.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    replaces: Option<DeviceId>,
    /// The last sequence number under which this device made ops as the one that it replaces: they count as its own. Left
    /// out: the last one that is stored.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    replaces_through: Option<i64>,
    /// 16 to 64 characters that the client makes up at random. A repeated request with the same nonce answers with the
    /// same device and a new token.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, min_length = 16, max_length = 64))]
    nonce: Option<Text>,
}

impl<'de> Deserialize<'de> for RegisterRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(members) = MapOnly::<RegisterMembers>::deserialize(deserializer)?;
        let RegisterMembers { name: Text(name), platform, replaces, replaces_through, nonce } = members;
        let (platform, nonce) = (platform.map(|Text(platform)| platform), nonce.map(|Text(nonce)| nonce));
        if !is_device_name(&name) {
            return Err(Code::NameInvalid.custom(NAME_RULE));
        }
        if platform.as_ref().is_some_and(|text| !is_storable(text, APP_BYTES_MAX)) {
            return Err(Code::NameInvalid.custom("platform has to be at most 64 bytes of UTF-8 without NUL"));
        }
        if nonce.as_ref().is_some_and(|nonce| !is_nonce(nonce)) {
            return Err(Code::NameInvalid.custom("nonce has to be 16 to 64 characters without NUL"));
        }
        if replaces_through.is_some_and(|through| through < 0 || replaces.is_none()) {
            return Err(Code::ShapeInvalid.custom("replaces_through has to be at least 0, and beside replaces"));
        }
        Ok(Self { name, platform, replaces, replaces_through, nonce })
    }
}

fn is_nonce(text: &str) -> bool {
    (NONCE_CHARS_MIN..=NONCE_CHARS_MAX).contains(&text.chars().count()) && !text.contains('\0')
}

/// The body of `PATCH /devices/{device}`: what to change of a device. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DevicePatch {
    /// The name of the device.
    pub name: Option<String>,
    /// The role of the device.
    pub role: Option<Role>,
    /// The scopes of the device.
    pub scopes: Option<Scopes>,
}

/// The body of `PATCH /devices/{device}`.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DevicePatch))]
#[serde(deny_unknown_fields)]
pub struct PatchMembers {
    /// The name of the device, for people: 1 to 255 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    name: Option<Text>,
    /// The role of the device: one of the catalog's.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    role: Option<Role>,
    /// The scopes that the device may use besides `""`; `["*"]` for all. Up to 1,000.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>, max_items = 1000))]
    scopes: Option<Scopes>,
}

impl<'de> Deserialize<'de> for DevicePatch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MapOnly(PatchMembers { name, role, scopes }) = Deserialize::deserialize(deserializer)?;
        let name = name.map(|Text(name)| name);
        if name.as_ref().is_some_and(|name| !is_device_name(name)) {
            return Err(Code::NameInvalid.custom(NAME_RULE));
        }
        if matches!(&scopes, Some(Scopes::Listed(listed)) if listed.len() > SCOPES_MAX) {
            return Err(Code::NameInvalid.custom("a device has at most 1,000 scopes"));
        }
        Ok(Self { name, role, scopes })
    }
}

const NAME_RULE: &str = "name has to be 1 to 255 bytes of UTF-8 without NUL";

fn is_device_name(name: &str) -> bool {
    !name.is_empty() && is_storable(name, NAME_BYTES_MAX)
}

/// A device that was just registered, with its token. The server never shows the token again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterResponse {
    /// The id of the device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The id of its workspace.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub workspace: WorkspaceId,
    /// The name of the device.
    pub name: String,
    /// The role of the device in the catalog.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// The scopes that the device may use besides `""`; `["*"]` for all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub scopes: Scopes,
    /// The token that the device authenticates with.
    pub token: String,
    /// The last sequence number of the device that is stored: 0, unless the registration was repeated and the device has
    /// pushed in the meantime.
    pub last_seq: i64,
}

/// A new token of a device. The server never shows it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    /// The token that the device authenticates with from now on.
    pub token: String,
    /// Until when the token by which the device asked is valid, unless the new one is used before.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub previous_until: UnixMs,
}

/// A device, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceView {
    /// The id of the device.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub device: DeviceId,
    /// The name of the device.
    pub name: String,
    /// The platform of the device; left out if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The version of its app; left out if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The role of the device in the catalog.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
    /// The scopes that the device may use besides `""`; `["*"]` for all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub scopes: Scopes,
    /// When the device was registered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub registered_at: UnixMs,
    /// When the device last made a request; left out if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_seen_at: Option<UnixMs>,
    /// The last sequence number of the device that is stored; 0 before the first push.
    pub last_seq: i64,
    /// How many positions `acknowledged` is behind the head of the log.
    pub behind: i64,
    /// Whether the device was revoked.
    pub revoked: bool,
    /// The id of the device that this one replaces; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub replaces: Option<DeviceId>,
    /// The highest position that the device has named by a cursor: it has read the log up to here.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub acknowledged: Position,
}

/// The response to `GET /devices`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceList {
    /// The devices of the workspace, the oldest first, including revoked ones.
    pub devices: Vec<DeviceView>,
}
