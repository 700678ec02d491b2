//! The catalog: an app's tables with their conflict rules, roles and retention.
//!
//! Read from TOML ([`Catalog::parse`]) or from a `_catalog` event ([`Catalog::from_event`]); a catalog in hand has
//! passed every check, so the fold and the judge trust it.

mod event;
mod file;
mod parse;
mod rules;

use std::collections::BTreeMap;

pub use event::{CatalogEventError, catalog_op};
pub use file::{CatalogFile, FieldFile, TableFile};
pub use parse::CatalogError;
pub use rules::{Clock, FieldType, Granularity, Merge, OnDelete, Resolution, Retention, Rule, RuleName};

use crate::ids::{Role, TableName};

/// A checked catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The form it was written in, without what was left out.
    pub file: CatalogFile,
    /// Every role a device may have, first ones first in `role_priority`.
    pub roles: Vec<Role>,
    /// Roles that may revoke other devices of their workspace.
    pub manage_devices: Vec<Role>,
    /// How far a device's clock may run ahead, in seconds.
    pub clock_skew_s: u32,
    /// The tables by name.
    pub tables: BTreeMap<TableName, Table>,
}

/// One table of a catalog, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// How concurrent writes of a field are decided where the field says nothing itself.
    pub rule: Rule,
    /// Whether some field is merged: most tables have none, and need not look.
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
    /// Whether fields that are not listed are rejected.
    pub strict: bool,
    /// The listed fields.
    pub fields: BTreeMap<String, Field>,
}

/// One listed field of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What values it takes.
    pub field_type: FieldType,
    /// Whether null is refused.
    pub required: bool,
    /// How it is decided, if not as its table says.
    pub resolution: Option<Resolution>,
}

impl Catalog {
    /// The tables a role may read.
    pub fn readable_by<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = &'a TableName> {
        self.tables.iter().filter(move |(_, table)| table.read.contains(role)).map(|(name, _)| name)
    }
}

impl Table {
    /// What decides concurrent writes of `field`.
    pub fn resolution_of(&self, field: &str) -> Resolution<&Rule> {
        match self.fields.get(field).and_then(|field| field.resolution.as_ref()) {
            Some(Resolution::Rule(rule)) => Resolution::Rule(rule),
            Some(Resolution::Merge(merge)) => Resolution::Merge(*merge),
            None => Resolution::Rule(&self.rule),
        }
    }

    /// How `field` is merged, if it is.
    pub fn merge_of(&self, field: &str) -> Option<Merge> {
        match self.has_merges.then(|| self.resolution_of(field)) {
            Some(Resolution::Merge(merge)) => Some(merge),
            Some(Resolution::Rule(_)) | None => None,
        }
    }

    /// Every rule that it names.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let own = self.fields.values().filter_map(|field| match &field.resolution {
            Some(Resolution::Rule(rule)) => Some(rule),
            Some(Resolution::Merge(_)) | None => None,
        });
        own.chain([&self.rule])
    }
}
