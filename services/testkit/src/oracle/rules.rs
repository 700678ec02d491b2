//! Which of two wins: an op, or a stored value that the op did not know.

use tidelog_core::catalog::{CatalogFile, Clock, FieldFile, Merge, Resolution, Rule, RuleName};
use tidelog_core::ids::{DeviceId, Position, Role, TableName};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;

/// A resolver of `custom` rules. Its arguments are the rule's name, the stored side and the op.
pub type Custom<'a> = &'a dyn Fn(&str, &Contender, &Contender) -> Choice;

/// The decision of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// The op wins.
    OpWins,
    /// The stored value stays.
    StoredStays,
    /// The stored value stays until a person has chosen.
    PersonChooses,
}

/// One of the two sides that a rule decides between.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// What it does to the field.
    pub content: Content,
    /// The event's position.
    pub position: Position,
    /// The event's device.
    pub device: DeviceId,
    /// The device's role.
    pub role: Role,
    /// The event's effective time.
    pub at: UnixMs,
}

/// What a contender does to the field that a rule decides about.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// It sets this value.
    Value(Value),
    /// It deletes the record.
    Deleted,
    /// It leaves the field as it is.
    NotGiven,
}

/// Decides between a stored value and an op. The op always has the later position.
pub(super) fn decide(rule: &Rule, stored: &Contender, op: &Contender, custom: Custom<'_>) -> Choice {
    let op_wins_if = |wins| if wins { Choice::OpWins } else { Choice::StoredStays };
    match rule {
        Rule::LastWriteWins(Clock::Server) => Choice::OpWins,
        Rule::LastWriteWins(Clock::Device) => op_wins_if(op.at >= stored.at),
        Rule::FirstWriteWins => Choice::StoredStays,
        Rule::RolePriority(roles) => {
            let rank = |role: &Role| roles.iter().position(|listed| listed == role).unwrap_or(roles.len());
            op_wins_if(rank(&op.role) <= rank(&stored.role))
        }
        Rule::Manual => Choice::PersonChooses,
        Rule::Custom { name } => custom(name, stored, op),
    }
}

/// What happens to concurrent writes of a field, by the catalog as it was written. A field's rule takes the clock and the
/// roles of its table's rule, if that is the same rule and it has none of its own.
pub(super) fn resolution_of(catalog: &CatalogFile, table: &TableName, field: &str, takes_tables: bool) -> Resolution {
    let table = &catalog.tables[table];
    let table_rule = table.rule.unwrap_or(RuleName::LastWriteWins);
    let rule_of = |rule, clock: Option<Clock>, roles: Option<&Vec<Role>>, name: &Option<String>| match rule {
        RuleName::LastWriteWins => Rule::LastWriteWins(clock.unwrap_or(Clock::Server)),
        RuleName::FirstWriteWins => Rule::FirstWriteWins,
        RuleName::RolePriority => Rule::RolePriority(roles.unwrap_or(&catalog.roles).clone()),
        RuleName::Manual => Rule::Manual,
        RuleName::Custom => Rule::Custom { name: name.clone().unwrap_or_default() },
    };
    match table.fields.get(field) {
        Some(FieldFile { merge: Some(merge), .. }) => Resolution::Merge(*merge),
        Some(FieldFile { rule: Some(rule), clock, roles, name, .. }) => {
            let is_tables = takes_tables && *rule == table_rule;
            let clock = clock.or(table.clock.filter(|_| is_tables));
            let roles = roles.as_ref().or(table.roles.as_ref().filter(|_| is_tables));
            Resolution::Rule(rule_of(*rule, clock, roles, name))
        }
        _ => Resolution::Rule(rule_of(table_rule, table.clock, table.roles.as_ref(), &table.name)),
    }
}

/// The name of a rule in a conflict.
pub(super) fn name_of(rule: &Rule) -> String {
    let name = match rule {
        Rule::LastWriteWins(_) => RuleName::LastWriteWins,
        Rule::FirstWriteWins => RuleName::FirstWriteWins,
        Rule::RolePriority(_) => RuleName::RolePriority,
        Rule::Manual => RuleName::Manual,
        Rule::Custom { .. } => RuleName::Custom,
    };
    name.to_string()
}

/// Whether a value can be part of a merge.
pub(super) fn is_mergeable(merge: Merge, value: &Value) -> bool {
    match merge {
        Merge::Sum => matches!(value, Value::Null | Value::Int(_)),
        Merge::Union => matches!(value, Value::Null | Value::Array(_)),
    }
}

/// The name of a rule with its clock, so that the coverage counts the two clocks apart.
pub(super) fn clocked_name_of(rule: &Rule) -> String {
    match rule {
        Rule::LastWriteWins(clock) => format!("last_write_wins by {clock}"),
        other => name_of(other),
    }
}
