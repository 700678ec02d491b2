//! Checks a catalog as it was written, and fills in the defaults.

use std::collections::BTreeMap;
use std::fmt;

use crate::catalog::file::{CatalogFile, FieldFile, TableFile};
use crate::catalog::rules::{Clock, FieldType, Granularity, Merge, OnDelete, Resolution, Rule, RuleName};
use crate::catalog::{Catalog, Field, Table};
use crate::ids::{Role, TableName};
use crate::limits::{CLOCK_SKEW_S_DEFAULT, NAME_BYTES_MAX};
use crate::text::is_storable;
use crate::value::model::BINARY_KEY;

/// Why a catalog is invalid, and where the fault is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogError {
    /// The line and column of the fault, counted from 1; `None` if the catalog was not parsed from text.
    pub line_column: Option<(usize, usize)>,
    /// What is wrong, on one line.
    pub message: String,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_column {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Catalog {
    /// Checks a catalog that is read already, for example from a `_catalog` event. Errors have no line and column.
    pub fn from_file(file: CatalogFile) -> Result<Self, CatalogError> {
        Self::check(file).map_err(|fault| CatalogError {
            line_column: None,
            message: format!("{}: {}", fault.path.join("."), fault.message),
        })
    }

    pub(super) fn check(file: CatalogFile) -> Result<Self, Fault> {
        let roles = file.roles.clone();
        if roles.is_empty() {
            return Err(Fault::at(&["roles"], "name at least one role: a device has to have one"));
        }
        check_roles(&roles, &roles, &["roles"])?;
        if let Some(listed) = &file.manage_devices {
            check_roles(listed, &roles, &["manage_devices"])?;
        }
        let mut tables = BTreeMap::new();
        for (name, table) in &file.tables {
            if name.is_server_owned() {
                return Err(Fault::at(&["tables", name.as_str()], "names that start with _ belong to the server"));
            }
            tables.insert(name.clone(), check_table(name, table, &roles)?);
        }
        Ok(Self {
            manage_devices: file.manage_devices.clone().unwrap_or_default(),
            clock_skew_s: file.clock_skew_s.unwrap_or(CLOCK_SKEW_S_DEFAULT),
            roles,
            tables,
            file,
        })
    }
}

/// A fault at a path of keys.
pub(super) struct Fault {
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

impl Fault {
    fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|&key| key.to_owned()).collect(), message: message.into() }
    }
}

fn check_table(name: &TableName, file: &TableFile, roles: &[Role]) -> Result<Table, Fault> {
    let path = ["tables", name.as_str()];
    let listed = |key: &str, list: &Option<Vec<Role>>| match list {
        None => Ok(roles.to_vec()),
        Some(list) => check_roles(list, roles, &[path[0], path[1], key]).map(|()| list.clone()),
    };
    let written = RuleWords { rule: file.rule, clock: file.clock, roles: &file.roles, name: &file.name };
    let rule = written.check(&Rule::LastWriteWins(Clock::Server), roles, &path)?;
    let mut fields = BTreeMap::new();
    for (field, written) in &file.fields {
        fields.insert(field.clone(), check_field(&path, &rule, field, written, roles)?);
    }
    Ok(Table {
        has_merges: fields.values().any(|field: &Field| matches!(field.resolution, Some(Resolution::Merge(_)))),
        rule,
        granularity: file.granularity.unwrap_or(Granularity::Field),
        on_delete: file.on_delete.unwrap_or(OnDelete::DeleteWins),
        write: listed("write", &file.write)?,
        read: listed("read", &file.read)?,
        retention: file.retention.unwrap_or_default(),
        strict: file.strict.unwrap_or(false),
        fields,
    })
}

fn check_field(
    table: &[&str; 2],
    table_rule: &Rule,
    name: &str,
    file: &FieldFile,
    roles: &[Role],
) -> Result<Field, Fault> {
    let path = [table[0], table[1], "fields", name];
    if name.is_empty() || !is_storable(name, NAME_BYTES_MAX) {
        return Err(Fault::at(&path, "a field name has to be 1 to 255 bytes without NUL"));
    }
    if name == BINARY_KEY {
        // An event with this field alone could not be read.
        return Err(Fault::at(&path, "$binary marks binary values and cannot be a field"));
    }
    let written = RuleWords { rule: file.rule, clock: file.clock, roles: &file.roles, name: &file.name };
    let resolution = match (file.merge, file.rule) {
        (Some(_), Some(_)) => return Err(Fault::at(&path, "give either rule or merge")),
        (Some(merge), None) => {
            written.check_unused(&path)?;
            if file.field_type.is_some_and(|written| written != merge.field_type()) {
                let message = format!("merge \"{merge}\" takes values of type \"{}\"", merge.field_type());
                return Err(Fault::at(&[path[0], path[1], path[2], path[3], "type"], message));
            }
            Some(Resolution::Merge(merge))
        }
        (None, Some(_)) => Some(Resolution::Rule(written.check(table_rule, roles, &path)?)),
        (None, None) => written.check_unused(&path).map(|()| None)?,
    };
    Ok(Field {
        field_type: file.field_type.or(file.merge.map(Merge::field_type)).unwrap_or(FieldType::Any),
        required: file.required.unwrap_or(false),
        resolution,
    })
}

/// A rule with the members that belong to single rules. Tables and fields write them alike.
struct RuleWords<'a> {
    rule: Option<RuleName>,
    clock: Option<Clock>,
    roles: &'a Option<Vec<Role>>,
    name: &'a Option<String>,
}

impl RuleWords<'_> {
    /// The rule that the words say. `outer` is the rule if they name none; if they name the same one, its clock or roles hold
    /// unless the words give their own.
    fn check(&self, outer: &Rule, roles: &[Role], path: &[&str]) -> Result<Rule, Fault> {
        let rule = self.rule.unwrap_or(outer.name());
        let misplaced =
            |key: &str| Err(Fault::at(&[path, &[key]].concat(), format!("does not go with rule \"{rule}\"")));
        match (rule, self.clock, self.roles, self.name) {
            (RuleName::LastWriteWins, clock, None, None) => {
                let outer_clock = if let Rule::LastWriteWins(clock) = outer { *clock } else { Clock::Server };
                Ok(Rule::LastWriteWins(clock.unwrap_or(outer_clock)))
            }
            (RuleName::RolePriority, None, listed, None) => {
                let outer_roles = if let Rule::RolePriority(listed) = outer { listed } else { roles };
                let listed = listed.as_deref().unwrap_or(outer_roles);
                check_roles(listed, roles, &[path, &["roles"]].concat())?;
                Ok(Rule::RolePriority(listed.to_vec()))
            }
            (RuleName::FirstWriteWins, None, None, None) => Ok(Rule::FirstWriteWins),
            (RuleName::Manual, None, None, None) => Ok(Rule::Manual),
            (RuleName::Custom, None, None, Some(name)) => Ok(Rule::Custom { name: name.clone() }),
            (RuleName::Custom, None, None, None) => Err(Fault::at(path, "rule \"custom\" needs a name")),
            (_, Some(_), _, _) if rule != RuleName::LastWriteWins => misplaced("clock"),
            (_, _, Some(_), _) if rule != RuleName::RolePriority => misplaced("roles"),
            _ => misplaced("name"),
        }
    }

    fn check_unused(&self, path: &[&str]) -> Result<(), Fault> {
        let given = [("clock", self.clock.is_some()), ("roles", self.roles.is_some()), ("name", self.name.is_some())];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((key, _)) => Err(Fault::at(&[path, &[*key]].concat(), "does not go without a rule")),
        }
    }
}

fn check_roles(listed: &[Role], known: &[Role], path: &[&str]) -> Result<(), Fault> {
    for (index, role) in listed.iter().enumerate() {
        if role.as_str().is_empty() {
            return Err(Fault::at(path, "a role needs at least one letter"));
        }
        if !known.contains(role) {
            return Err(Fault::at(path, format!("role \"{role}\" is not in roles")));
        }
        if listed[..index].contains(role) {
            return Err(Fault::at(path, format!("role \"{role}\" is listed twice")));
        }
    }
    Ok(())
}
