//! The catalog: the tables of an app with their conflict rules, roles and retention.
//!
//! A catalog is read from a `_catalog` event ([`Catalog::from_event`]), or from TOML (`Catalog::parse`, with the feature
//! `toml`). A [`Catalog`] has passed every check, so the fold and the judge trust it.

mod check;
mod event;
mod file;
mod rules;
#[cfg(feature = "toml")]
mod text;

use std::collections::BTreeMap;

pub use check::CatalogError;
pub use event::{CatalogEventError, catalog_op};
pub use file::{CatalogFile, FieldFile, TableFile};
pub use rules::{Clock, FieldType, Granularity, Merge, OnDelete, Resolution, Retention, Rule, RuleName};

use crate::ids::{Role, TableName};

/// A checked catalog, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The catalog as it was written, without defaults.
    pub file: CatalogFile,
    /// Every role that a device may have. `role_priority` prefers earlier ones.
    pub roles: Vec<Role>,
    /// Roles that may revoke other devices of their workspace.
    pub manage_devices: Vec<Role>,
    /// How far the clock of a device may run ahead of the server, in seconds.
    pub clock_skew_s: u32,
    /// The tables by name.
    pub tables: BTreeMap<TableName, Table>,
}

/// One table of a catalog, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The rule for concurrent writes of every field that has none of its own.
    pub rule: Rule,
    /// Whether any field has a merge. Most tables have none, and skip the lookup.
    pub has_merges: bool,
    /// Whether an op is judged field by field or as a whole.
    pub granularity: Granularity,
    /// What happens between a delete and concurrent writes.
    pub on_delete: OnDelete,
    /// Roles that may push to the table.
    pub write: Vec<Role>,
    /// Roles that may pull from the table.
    pub read: Vec<Role>,
    /// How long a tombstone keeps its fields.
    pub retention: Retention,
    /// Whether ops with fields that are not listed are rejected.
    pub strict: bool,
    /// The listed fields.
    pub fields: BTreeMap<String, Field>,
}

/// One listed field of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The type of the values.
    pub field_type: FieldType,
    /// Whether null is refused.
    pub required: bool,
    /// What happens to concurrent writes; `None` if the rule of the table applies.
    pub resolution: Option<Resolution>,
}

impl Catalog {
    /// The tables that a role may read.
    pub fn readable_by<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = &'a TableName> {
        self.tables.iter().filter(move |(_, table)| table.read.contains(role)).map(|(name, _)| name)
    }
}

impl Table {
    /// What happens to concurrent writes of `field`.
    pub fn resolution_of(&self, field: &str) -> Resolution<&Rule> {
        match self.fields.get(field).and_then(|field| field.resolution.as_ref()) {
            Some(Resolution::Rule(rule)) => Resolution::Rule(rule),
            Some(Resolution::Merge(merge)) => Resolution::Merge(*merge),
            None => Resolution::Rule(&self.rule),
        }
    }

    /// The merge of `field`, if it has one.
    pub fn merge_of(&self, field: &str) -> Option<Merge> {
        match self.has_merges.then(|| self.resolution_of(field)) {
            Some(Resolution::Merge(merge)) => Some(merge),
            Some(Resolution::Rule(_)) | None => None,
        }
    }

    /// The rules of the table and of its fields.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let own = self.fields.values().filter_map(|field| match &field.resolution {
            Some(Resolution::Rule(rule)) => Some(rule),
            Some(Resolution::Merge(_)) | None => None,
        });
        own.chain([&self.rule])
    }
}
