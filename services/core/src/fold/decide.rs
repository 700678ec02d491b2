//! Who wins between a stored writer and a concurrent op. Laws, each tested below:
//!
//! - every rule is total: of two writes exactly one is the writer afterwards;
//! - no rule reads anything but the two writers and the catalog, so every replica decides alike (FOLD-3);
//! - a tie always goes to the later position, so no rule is left to chance.

use crate::catalog::{Clock, Resolution, Rule};
use crate::fold::Writer;
use crate::ids::Role;

/// What a rule says of op e against writer w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// e is the writer from now on.
    OpWins,
    /// w stays the writer.
    WriterStays,
    /// w stays the writer, and a person must choose.
    PersonChooses,
}

/// Decides by a rule; `None` where this version folds no such rule.
pub(super) fn decide(resolution: &Resolution, op: &Writer, writer: &Writer) -> Option<Decision> {
    let op_wins = match resolution {
        Resolution::Rule(Rule::LastWriteWins(Clock::Server)) => true,
        Resolution::Rule(Rule::LastWriteWins(Clock::Device)) => op.at >= writer.at,
        Resolution::Rule(Rule::FirstWriteWins) => false,
        Resolution::Rule(Rule::RolePriority(roles)) => rank(roles, &op.role) <= rank(roles, &writer.role),
        Resolution::Rule(Rule::Manual) => return Some(Decision::PersonChooses),
        Resolution::Rule(Rule::Custom { .. }) | Resolution::Merge(_) => return None,
    };
    Some(if op_wins { Decision::OpWins } else { Decision::WriterStays })
}

/// 0 is the strongest; every unlisted role stands behind the last listed one.
fn rank(roles: &[Role], role: &Role) -> usize {
    roles.iter().position(|listed| listed == role).unwrap_or(roles.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DeviceId, Position};
    use crate::time::UnixMs;

    fn writer(position: i64, role: &str, at: i64) -> Writer {
        let device = DeviceId(uuid::Uuid::from_u128(position as u128));
        Writer { position: Position(position), device, role: Role::parse(role).unwrap(), at: UnixMs(at) }
    }

    fn check(rule: Rule, op: &Writer, stored: &Writer, expected: Decision) {
        assert_eq!(decide(&Resolution::Rule(rule.clone()), op, stored), Some(expected), "{rule:?} {op:?} {stored:?}");
    }

    #[test]
    fn each_rule_decides_as_its_table_says() {
        let roles = || vec![Role::parse("manager").unwrap(), Role::parse("staff").unwrap()];
        let (early, late) = (writer(1, "staff", 10), writer(2, "staff", 5));
        check(Rule::LastWriteWins(Clock::Server), &late, &early, Decision::OpWins);
        check(Rule::LastWriteWins(Clock::Device), &late, &early, Decision::WriterStays);
        check(Rule::LastWriteWins(Clock::Device), &writer(2, "staff", 10), &early, Decision::OpWins);
        check(Rule::FirstWriteWins, &late, &early, Decision::WriterStays);
        check(Rule::RolePriority(roles()), &late, &early, Decision::OpWins);
        check(Rule::RolePriority(roles()), &late, &writer(1, "manager", 0), Decision::WriterStays);
        check(Rule::RolePriority(roles()), &writer(2, "manager", 0), &early, Decision::OpWins);
        check(Rule::RolePriority(roles()), &writer(2, "guest", 0), &early, Decision::WriterStays);
        check(Rule::RolePriority(roles()), &writer(2, "guest", 0), &writer(1, "visitor", 9), Decision::OpWins);
        check(Rule::Manual, &late, &early, Decision::PersonChooses);
    }
}
