//! The judge: checks an operation against the catalog in force. An op is judged once, when it is appended, and the
//! append checks that the catalog it was judged under is still in force.

use std::fmt;

use crate::catalog::{Catalog, FieldType, Table};
use crate::ids::{Role, Scopes, TableName};
use crate::limits::{FIELD_BYTES_MAX, RECORD_FIELDS_MAX};
use crate::log::op::Op;
use crate::msgpack::read::Token;
use crate::time::UnixMs;
use crate::value::PackedFields;

/// Why an op is rejected: it is stored without effect.
///
/// OUT-2: a rejected op takes its sequence number and position, so that the device can go on with its next ops.
///
/// Codes are ordered as they are judged: an op with several faults gets the lowest of their codes. So the order in which
/// a device sends fields makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectCode {
    /// The encoded fields exceed the size limit. They are not stored, so this is judged first.
    FieldsTooLarge,
    /// The catalog has no such table.
    TableUnknown,
    /// The role of the device may not write the table.
    RoleForbidden,
    /// The scope is not granted to the device.
    ScopeForbidden,
    /// A value does not have the type of its field.
    FieldType,
    /// A required field is null.
    FieldNull,
    /// The table is strict and does not list the field.
    FieldUnknown,
}

impl RejectCode {
    /// Every code, in the order in which they are judged.
    pub const ALL: [RejectCode; 7] = [
        Self::FieldsTooLarge,
        Self::TableUnknown,
        Self::RoleForbidden,
        Self::ScopeForbidden,
        Self::FieldType,
        Self::FieldNull,
        Self::FieldUnknown,
    ];

    /// The code on the wire and in the log.
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

    /// Parses a code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// What is wrong, in a sentence for people that fits every op with this code. [`explain`] also names the field.
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

/// Judges an op of a device with this role and these scopes. `None` if the op may take effect.
///
/// ```
/// use tidelog_core::catalog::Catalog;
/// use tidelog_core::ids::{Actor, RecordId, Role, Scope, Scopes, Seq, TableName};
/// use tidelog_core::judge::{RejectCode, judge};
/// use tidelog_core::op::{Intent, Op};
/// use tidelog_core::value::{Fields, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let catalog = "roles = [\"staff\"]\n[tables.notes.fields]\ntitle = { type = \"string\", required = true }";
/// let catalog = Catalog::parse(catalog)?;
/// let staff = Role::parse("staff")?;
/// let with_title = |title: Value| -> Result<Op, Box<dyn std::error::Error>> {
///     Ok(Op {
///         seq: Seq(1),
///         table: TableName::parse("notes")?,
///         record: RecordId::parse("n-1")?,
///         scope: Scope::everyone(),
///         intent: Intent::Put(Fields::from_iter([("title", title)]).into()),
///         base: None,
///         at: None,
///         actor: Actor::nobody(),
///     })
/// };
/// let verdict = |title: Value| with_title(title).map(|op| judge(&catalog, &staff, &Scopes::All, &op));
///
/// assert_eq!(verdict(Value::Text("milk".to_owned()))?, None);
/// assert_eq!(verdict(Value::Int(7))?, Some(RejectCode::FieldType));
/// assert_eq!(verdict(Value::Null)?, Some(RejectCode::FieldNull));
/// # Ok(())
/// # }
/// ```
pub fn judge(catalog: &Catalog, role: &Role, scopes: &Scopes, op: &Op) -> Option<RejectCode> {
    judge_by(catalog, op, |table| match table.write.contains(role) {
        false => Some(RejectCode::RoleForbidden),
        true => (!scopes.grants(&op.scope)).then_some(RejectCode::ScopeForbidden),
    })
}

/// Judges an op by its content alone, as if its author may write every table and scope.
pub fn judge_content(catalog: &Catalog, op: &Op) -> Option<RejectCode> {
    judge_by(catalog, op, |_| None)
}

/// Whether fields are too large to be stored.
pub fn is_too_large(fields: &PackedFields) -> bool {
    fields.as_bytes().len() > FIELD_BYTES_MAX || fields.count() > RECORD_FIELDS_MAX
}

fn judge_by(catalog: &Catalog, op: &Op, forbidden: impl Fn(&Table) -> Option<RejectCode>) -> Option<RejectCode> {
    if op.intent.fields().is_some_and(is_too_large) {
        return Some(RejectCode::FieldsTooLarge);
    }
    let Some(table) = catalog.tables.get(&op.table) else {
        return Some(RejectCode::TableUnknown);
    };
    if let Some(code) = forbidden(table) {
        return Some(code);
    }
    let faults = op.intent.fields()?.heads().filter_map(|(name, value)| fault_of(table, name, value));
    faults.min()
}

fn fault_of(table: &Table, name: &str, value: Token<'_>) -> Option<RejectCode> {
    match table.fields.get(name) {
        None => table.strict.then_some(RejectCode::FieldUnknown),
        Some(field) if field.required && value == Token::Nil => Some(RejectCode::FieldNull),
        Some(field) => (!field.field_type.accepts(value)).then_some(RejectCode::FieldType),
    }
}

/// What is wrong with an op that was rejected with this code, in a sentence for people.
///
/// If the code is about a field, the sentence names it: the first by name that has the fault under this catalog. If no field has it, because the
/// catalog has changed since, the sentence is the general one of the code.
///
/// ```
/// use tidelog_core::catalog::Catalog;
/// use tidelog_core::ids::TableName;
/// use tidelog_core::judge::{RejectCode, explain};
/// use tidelog_core::value::{Fields, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let catalog = Catalog::parse("roles = [\"staff\"]\n[tables.notes.fields]\nscore = { type = \"integer\" }")?;
/// let fields = Fields::from_iter([("score", Value::Text("high".to_owned()))]).into();
/// let detail = explain(&catalog, &TableName::parse("notes")?, Some(&fields), RejectCode::FieldType);
/// assert_eq!(detail, "field \"score\" has to be an integer");
/// # Ok(())
/// # }
/// ```
pub fn explain(catalog: &Catalog, table: &TableName, fields: Option<&PackedFields>, code: RejectCode) -> String {
    let first_with_fault = || {
        let table = catalog.tables.get(table)?;
        let at_fault = fields?.heads().filter(|(name, value)| fault_of(table, name, *value) == Some(code));
        let (name, value) = at_fault.min_by_key(|(name, _)| *name)?;
        let quoted = quoted_name(name);
        Some(match (code, table.fields.get(name)) {
            (RejectCode::FieldUnknown, _) => format!("the table is strict and does not list field {quoted}"),
            (RejectCode::FieldNull, _) => format!("field {quoted} is required and may not be null"),
            (_, Some(field)) => format!("field {quoted} has to be {}", expected(field.field_type, value)),
            (_, None) => return None,
        })
    };
    first_with_fault().unwrap_or_else(|| code.detail().to_owned())
}

/// What a field of a type takes. For a time that lacks only its offset, this says so.
fn expected(field_type: FieldType, value: Token<'_>) -> String {
    match (field_type, value) {
        (FieldType::Time, Token::Text(text)) => format!("a time: {}", UnixMs::expected(text)),
        (FieldType::Float, Token::Int(_)) => {
            format!("{}: larger integers have no exact float", field_type.description())
        }
        _ => field_type.description().to_owned(),
    }
}

/// The name of a field as details show it: with control characters and quotes escaped, and cut if it is long.
fn quoted_name(name: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let shown = match name.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    };
    format!("{shown:?}")
}
