//! Who wins between a stored writer and a concurrent op. Laws, each tested below or in tests/fold:
//!
//! - every rule is total: of two writes exactly one is the writer afterwards;
//! - no rule reads anything but the two writes and the catalog, so every replica decides alike (FOLD-3);
//! - a tie always goes to the later position, so no rule is left to chance.

use crate::catalog::{Clock, Rule};
use crate::fold::rules::custom::{Contender, Decision, Resolvers};
use crate::ids::Role;

/// Decides by a rule; `None` where it is a `custom` one that this program has no resolver for.
pub(crate) fn decide(rule: &Rule, op: Contender<'_>, stored: Contender<'_>, custom: &Resolvers) -> Option<Decision> {
    let op_wins = match rule {
        // Law: the later position wins.
        Rule::LastWriteWins(Clock::Server) => true,
        // Law: the later effective time wins, and times are cut once, when they are folded.
        Rule::LastWriteWins(Clock::Device) => op.writer.at >= stored.writer.at,
        // Law: what is stored stays, so the first of any number of concurrent writes does.
        Rule::FirstWriteWins => false,
        // Law: no write is ever overwritten by one of a weaker role that did not know of it.
        Rule::RolePriority(roles) => rank(roles, &op.writer.role) <= rank(roles, &stored.writer.role),
        Rule::Manual => return Some(Decision::PersonChooses),
        Rule::Custom { name } => return custom.get(name).map(|resolver| resolver.resolve(op, stored)),
    };
    Some(if op_wins { Decision::OpWins } else { Decision::StoredStays })
}

/// 0 is the strongest; every unlisted role stands behind the last listed one.
fn rank(roles: &[Role], role: &Role) -> usize {
    roles.iter().position(|listed| listed == role).unwrap_or(roles.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::Writer;
    use crate::ids::{DeviceId, Position};
    use crate::time::UnixMs;
    use crate::value::Value;

    fn writer(position: i64, role: &str, at: i64) -> Writer {
        let device = DeviceId(uuid::Uuid::from_u128(position as u128));
        Writer { position: Position(position), device, role: Role::parse(role).unwrap(), at: UnixMs(at) }
    }

    fn check(rule: Rule, op: &Writer, stored: &Writer, expected: Decision) {
        let contender = |writer| Contender { writer, value: Some(&Value::Null) };
        let resolvers = Resolvers::none().with("even wins", |op: Contender<'_>, _: Contender<'_>| {
            if op.writer.position.0 % 2 == 0 { Decision::OpWins } else { Decision::PersonChooses }
        });
        let decided = decide(&rule, contender(op), contender(stored), &resolvers);
        assert_eq!(decided, Some(expected), "{rule:?} {op:?} {stored:?}");
    }

    #[test]
    fn each_rule_decides_as_its_table_says() {
        let roles = || vec![Role::parse("manager").unwrap(), Role::parse("staff").unwrap()];
        let (early, late) = (writer(1, "staff", 10), writer(2, "staff", 5));
        check(Rule::LastWriteWins(Clock::Server), &late, &early, Decision::OpWins);
        check(Rule::LastWriteWins(Clock::Device), &late, &early, Decision::StoredStays);
        check(Rule::LastWriteWins(Clock::Device), &writer(2, "staff", 10), &early, Decision::OpWins);
        check(Rule::FirstWriteWins, &late, &early, Decision::StoredStays);
        check(Rule::RolePriority(roles()), &late, &early, Decision::OpWins);
        check(Rule::RolePriority(roles()), &late, &writer(1, "manager", 0), Decision::StoredStays);
        check(Rule::RolePriority(roles()), &writer(2, "manager", 0), &early, Decision::OpWins);
        check(Rule::RolePriority(roles()), &writer(2, "guest", 0), &early, Decision::StoredStays);
        check(Rule::RolePriority(roles()), &writer(2, "guest", 0), &writer(1, "visitor", 9), Decision::OpWins);
        check(Rule::Manual, &late, &early, Decision::PersonChooses);
        let custom = || Rule::Custom { name: "even wins".to_owned() };
        check(custom(), &late, &early, Decision::OpWins);
        check(custom(), &writer(3, "staff", 0), &early, Decision::PersonChooses);
    }

    #[test]
    fn a_custom_rule_without_its_resolver_decides_nothing() {
        let (op, stored) = (writer(2, "staff", 0), writer(1, "staff", 0));
        let contender = |writer| Contender { writer, value: None };
        let rule = Rule::Custom { name: "missing".to_owned() };
        assert_eq!(decide(&rule, contender(&op), contender(&stored), &Resolvers::none()), None);
    }
}
