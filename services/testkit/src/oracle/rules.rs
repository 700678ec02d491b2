//! Which of two wins: an op, or a stored value that the op did not know.

use tidelog_core::catalog::{Clock, Merge, Rule, RuleName};
use tidelog_core::ids::{DeviceId, Position, Role};
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
    /// The value that it gives the field, if it gives one.
    pub value: Option<Value>,
    /// The event's position.
    pub position: Position,
    /// The event's device.
    pub device: DeviceId,
    /// The device's role.
    pub role: Role,
    /// The event's effective time.
    pub at: UnixMs,
    /// Whether the event is a delete.
    pub is_delete: bool,
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
