//! The catalog as it is written: TOML files, `_catalog` events and `GET /catalog` share these members.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::rules::{Clock, FieldType, Granularity, Merge, OnDelete, Retention, RuleName};
use crate::ids::{Role, TableName};

/// A catalog as written. What is left out has a default and stays out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// Every role a device may have, in order of `role_priority`.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// How far a device's clock may run ahead of the server, in seconds (60).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_s: Option<u32>,
    /// Roles that may revoke other devices of their workspace (none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_devices: Option<Vec<Role>>,
    /// The tables by name.
    #[serde(default)]
    pub tables: BTreeMap<TableName, TableFile>,
}

/// A table as written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// `last_write_wins` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// With `last_write_wins`: `server` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// With `role_priority`: the catalog's roles unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// With `custom`: the resolver's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `field` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granularity: Option<Granularity>,
    /// `delete_wins` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// Every role unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<Role>>,
    /// Every role unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<Role>>,
    /// `90d` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Whether fields that are not listed are rejected (no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// The listed fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldFile>,
}

/// A field as written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldFile {
    /// `any` unless given.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub field_type: Option<FieldType>,
    /// Whether null is refused (no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The table's rule unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// With `last_write_wins`: `server` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// With `role_priority`: the catalog's roles unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// With `custom`: the resolver's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Instead of a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
}
