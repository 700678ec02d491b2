//! `_devices` events: who a device is stands in the log, from the position of the event on.

use serde::{Deserialize, Serialize};

use crate::error::plain_message;
use crate::ids::{Actor, DeviceId, RecordId, Role, Scope, Scopes, Seq, TableName};
use crate::log::event::Event;
use crate::log::op::{Intent, Op};
use crate::value::Fields;

/// The fields of a `_devices` event that only the device itself and analysts see.
pub const ACCESS_FIELDS: [&str; 2] = ["role", "scopes"];

/// What a `_devices` event says of a device. Only the system device makes such events, and they become no record.
///
/// ```
/// use tidelog_core::device_change::{Alias, DeviceChange};
/// use tidelog_core::ids::{DeviceId, Role, Scopes, Seq};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let [tablet, lost] = [1, 2].map(|number| DeviceId::parse(&format!("00000000-0000-4000-8000-00000000000{number}")));
/// let registered = DeviceChange {
///     role: Some(Role::parse("staff")?),
///     scopes: Some(Scopes::All),
///     replaces: Some(Alias { device: lost?, through: Seq(40) }),
///     ..DeviceChange::of(tablet?)
/// };
/// let op = registered.to_op()?;
/// assert_eq!(op.table.as_str(), "_devices");
/// assert_eq!(DeviceChange::from_fields(&op.record, &op.intent.unpack().fields().cloned().unwrap_or_default())?, registered);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceChange {
    /// The device.
    pub device: DeviceId,
    /// Its role from here on, if the event is about a registration or a change.
    pub role: Option<Role>,
    /// Its scopes from here on, if the event is about a registration or a change.
    pub scopes: Option<Scopes>,
    /// The device whose ops it made under another name.
    pub replaces: Option<Alias>,
    /// Whether it may no longer push or pull.
    pub revoked: bool,
    /// Its op that the system device makes next.
    pub readmitted: Option<Readmitted>,
}

/// An earlier name of a device: the ops of `device` up to the seq `through` are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The earlier device.
    pub device: DeviceId,
    /// The last seq of the earlier device that counts; 0 if none does.
    pub through: Seq,
}

/// A rejected op that the system device makes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readmitted {
    /// The seq of the system device's op, which is the next event of the same batch.
    pub seq: Seq,
    /// The seq under which the device made it.
    pub of: Seq,
}

/// Why a `_devices` event says nothing of a device: the log was written by a newer server or is damaged.
#[derive(Debug, thiserror::Error)]
#[error("a _devices event cannot be read: {0}")]
pub struct DeviceChangeError(String);

/// The fields of a `_devices` event. Members that this version does not know are skipped.
#[derive(Default, Serialize, Deserialize)]
struct DeviceFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Scopes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces_through: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    readmitted: Option<Readmitted>,
}

impl DeviceChange {
    /// A change of a device that says nothing of it yet.
    pub fn of(device: DeviceId) -> Self {
        Self { device, role: None, scopes: None, replaces: None, revoked: false, readmitted: None }
    }

    /// What the event of a registration says.
    pub fn registration(device: DeviceId, role: &Role, scopes: &Scopes, replaces: Option<Alias>) -> Self {
        Self { role: Some(role.clone()), scopes: Some(scopes.clone()), replaces, ..Self::of(device) }
    }

    /// The op of the `_devices` event, except for its seq, which the log assigns.
    pub fn to_op(&self) -> Result<Op, DeviceChangeError> {
        let fields = DeviceFields {
            role: self.role.clone(),
            scopes: self.scopes.clone(),
            replaces: self.replaces.map(|alias| alias.device),
            replaces_through: self.replaces.map(|alias| alias.through.0),
            revoked: self.revoked,
            readmitted: self.readmitted,
        };
        let bytes = rmp_serde::to_vec_named(&fields).map_err(unreadable)?;
        Ok(Op {
            seq: Seq(1),
            table: TableName::devices(),
            record: RecordId::parse(self.device.to_string()).map_err(unreadable)?,
            scope: Scope::everyone(),
            intent: Intent::Put(Fields::from_msgpack(&bytes).map_err(unreadable)?.into()),
            base: None,
            at: None,
            actor: Actor::nobody(),
        })
    }

    /// Reads a `_devices` event.
    pub fn from_event(event: &Event) -> Result<Self, DeviceChangeError> {
        let fields = event.intent.fields().ok_or_else(|| unreadable("it has no fields"))?;
        Self::from_fields(&event.record, fields)
    }

    /// Reads the record id and the fields of a `_devices` event.
    pub fn from_fields(record: &RecordId, fields: &Fields) -> Result<Self, DeviceChangeError> {
        let device = DeviceId::parse(record.as_str()).map_err(unreadable)?;
        let DeviceFields { role, scopes, replaces, replaces_through, revoked, readmitted } =
            rmp_serde::from_slice(&fields.to_msgpack()).map_err(unreadable)?;
        let replaces = replaces.zip(replaces_through);
        let replaces = replaces.map(|(device, through)| Alias { device, through: Seq(through) });
        Ok(Self { device, role, scopes, replaces, revoked, readmitted })
    }
}

fn unreadable(error: impl std::fmt::Display) -> DeviceChangeError {
    DeviceChangeError(plain_message(&error.to_string()))
}
