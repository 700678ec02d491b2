//! Who wins between an op and one that it did not know of.

use tidelog_core::catalog::{Clock, Merge, Rule, RuleName};
use tidelog_core::ids::{DeviceId, Position, Role};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;

/// What a resolver of a `custom` rule says, by the rule's name, of what is stored (first) and the op (second).
pub type Custom<'a> = &'a dyn Fn(&str, &Contender, &Contender) -> Choice;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// The op at hand wins.
    OpWins,
    /// What is stored stays.
    StoredStays,
    /// What is stored stays until a person has chosen.
    PersonChooses,
}

/// One of two that a rule decides between.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// What it gives the field in question, if it gives it anything.
    pub value: Option<Value>,
    /// Its position.
    pub position: Position,
    /// Its device.
    pub device: DeviceId,
    /// The device's role.
    pub role: Role,
    /// Its effective time.
    pub at: UnixMs,
    /// Whether it is a delete.
    pub is_delete: bool,
}

/// Decides `op` against what is `stored`; the op's is the later position of the two, always.
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

/// The name of a rule as rows have it.
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

/// As the catalog has it, so that the coverage tells the two clocks apart.
pub(super) fn clocked_name_of(rule: &Rule) -> String {
    match rule {
        Rule::LastWriteWins(clock) => format!("last_write_wins by {clock}"),
        other => name_of(other),
    }
}
