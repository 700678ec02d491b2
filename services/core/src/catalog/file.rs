//! The catalog as it is written. TOML files, `_catalog` events and `GET /catalog` share these members.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::rules::{Clock, FieldType, Granularity, Merge, OnDelete, Retention, RuleName};
use crate::ids::{Role, TableName};

/// A catalog as it was written. A member that is left out has a default, and is left out when the catalog is written
/// again.
//
// `FieldFile` repeats members of `TableFile`, because serde cannot flatten a struct and refuse unknown members.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// Every role that a device may have, in the order of `role_priority`.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// How far the clock of a device may run ahead of the server, in seconds. Default: 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_s: Option<u32>,
    /// The roles that may revoke other devices of their workspace. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_devices: Option<Vec<Role>>,
    /// The tables by name.
    #[serde(default)]
    pub tables: BTreeMap<TableName, TableFile>,
}

/// A table of a catalog, as it was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// The rule for concurrent writes. Default: `last_write_wins`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// With `last_write_wins`: the clock that decides which write is later. Default: `server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// With `role_priority`: the roles in the order of preference. Default: the `roles` of the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// With `custom`: the name of the resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether ops are judged field by field or as a whole. Default: `field`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granularity: Option<Granularity>,
    /// What happens between a delete and concurrent writes. Default: `delete_wins`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// The roles that may push to the table. Default: every role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<Role>>,
    /// The roles that may pull from the table. Default: every role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<Role>>,
    /// How long a tombstone keeps its fields. Default: `90d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Whether ops with fields that are not listed are rejected. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// The listed fields by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldFile>,
}

/// A field of a table, as it was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldFile {
    /// The type of the values. Default: `any`, or the type that `merge` takes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub field_type: Option<FieldType>,
    /// Whether null is refused. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The rule for concurrent writes. Default: the rule of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// With `last_write_wins`: the clock that decides which write is later. Default: `server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// With `role_priority`: the roles in the order of preference. Default: the `roles` of the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// With `custom`: the name of the resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How concurrent writes are merged, instead of a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
}
