//! The judge of one operation against the catalog in force: decided once, at append, under the version the log checks.

use std::fmt;

use crate::catalog::{Catalog, Table};
use crate::ids::{Role, Scopes};
use crate::limits::{FIELD_BYTES_MAX, RECORD_FIELDS_MAX};
use crate::log::op::Op;
use crate::msgpack::read::Token;
use crate::value::PackedFields;

/// Why an op is kept without effect. OUT-2: it takes its seq and position, so the device's queue goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectCode {
    /// The catalog has no such table.
    TableUnknown,
    /// The device's role may not write the table.
    RoleForbidden,
    /// The scope is not granted to the device.
    ScopeForbidden,
    /// A value is not of its field's type.
    FieldType,
    /// A required field is null.
    FieldNull,
    /// A strict table does not list the field.
    FieldUnknown,
    /// The encoded fields are larger than the limit; they are not kept.
    FieldsTooLarge,
}

impl RejectCode {
    /// Every code.
    pub const ALL: [RejectCode; 7] = [
        Self::TableUnknown,
        Self::RoleForbidden,
        Self::ScopeForbidden,
        Self::FieldType,
        Self::FieldNull,
        Self::FieldUnknown,
        Self::FieldsTooLarge,
    ];

    /// The code as it stands on the wire and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TableUnknown => "table_unknown",
            Self::RoleForbidden => "role_forbidden",
            Self::ScopeForbidden => "scope_forbidden",
            Self::FieldType => "field_type",
            Self::FieldNull => "field_null",
            Self::FieldUnknown => "field_unknown",
            Self::FieldsTooLarge => "fields_too_large",
        }
    }

    /// The code of a stored text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// One sentence for a person.
    pub fn detail(self) -> &'static str {
        match self {
            Self::TableUnknown => "the catalog has no such table",
            Self::RoleForbidden => "the device's role may not write this table",
            Self::ScopeForbidden => "the scope is not granted to the device",
            Self::FieldType => "a value is not of its field's type",
            Self::FieldNull => "a required field is null",
            Self::FieldUnknown => "the table is strict and does not list a field",
            Self::FieldsTooLarge => "the fields are larger than the limit, and were not kept",
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Judges an op of a role with these scopes. `None`: it may take effect.
pub fn judge(catalog: &Catalog, role: &Role, scopes: &Scopes, op: &Op) -> Option<RejectCode> {
    judge_by(catalog, op, |table| match table.write.contains(role) {
        false => Some(RejectCode::RoleForbidden),
        true => (!scopes.grants(&op.scope)).then_some(RejectCode::ScopeForbidden),
    })
}

/// Judges an op that somebody made who may write every table and scope: by what it says alone.
pub fn judge_content(catalog: &Catalog, op: &Op) -> Option<RejectCode> {
    judge_by(catalog, op, |_| None)
}

fn judge_by(catalog: &Catalog, op: &Op, forbidden: impl Fn(&Table) -> Option<RejectCode>) -> Option<RejectCode> {
    let too_large =
        |fields: &PackedFields| fields.as_bytes().len() > FIELD_BYTES_MAX || fields.count() > RECORD_FIELDS_MAX;
    if op.intent.fields().is_some_and(too_large) {
        return Some(RejectCode::FieldsTooLarge);
    }
    let Some(table) = catalog.tables.get(&op.table) else {
        return Some(RejectCode::TableUnknown);
    };
    if let Some(code) = forbidden(table) {
        return Some(code);
    }
    op.intent.fields()?.heads().find_map(|(name, value)| match table.fields.get(name) {
        None if table.strict => Some(RejectCode::FieldUnknown),
        None => None,
        Some(field) if field.required && value == Token::Nil => Some(RejectCode::FieldNull),
        Some(field) => (!field.field_type.takes(value)).then_some(RejectCode::FieldType),
    })
}
