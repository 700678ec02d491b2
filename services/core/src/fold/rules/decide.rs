//! The built-in rules: who wins between a stored write and a concurrent op. Laws, each tested below or in tests/fold:
//!
//! - Every rule is total: exactly one of two writes is the writer afterwards.
//! - A rule reads nothing but the two writes and the catalog, so every replica decides alike (FOLD-3).
//! - A tie always goes to the later position, so no decision is left to chance.

use crate::catalog::{Clock, Rule};
use crate::fold::rules::custom::{Contender, Decision, Resolvers};
use crate::ids::Role;

/// Decides by a rule. `None` if the rule is `custom` and this program has no resolver for it.
pub(crate) fn decide(rule: &Rule, op: Contender<'_>, stored: Contender<'_>, custom: &Resolvers) -> Option<Decision> {
    let op_wins = match rule {
        // Law: the later position wins.
        Rule::LastWriteWins(Clock::Server) => true,
        // Law: the later effective time wins. A time is limited to the clock skew once, when its event is folded.
        Rule::LastWriteWins(Clock::Device) => op.writer.at >= stored.writer.at,
        // Law: the stored write stays, so the first of any number of concurrent writes stays.
        Rule::FirstWriteWins => false,
        // Law: a write is never overwritten by a write of a weaker role that did not know of it.
        Rule::RolePriority(roles) => rank(roles, &op.writer.role) <= rank(roles, &stored.writer.role),
        Rule::Manual => return Some(Decision::PersonChooses),
        Rule::Custom { name } => return custom.get(name).map(|resolver| resolver.resolve(op, stored)),
    };
    Some(if op_wins { Decision::OpWins } else { Decision::StoredStays })
}

/// The rank of a role: 0 is the strongest. Unlisted roles share the rank after the last listed role.
fn rank(roles: &[Role], role: &Role) -> usize {
    roles.iter().position(|listed| listed == role).unwrap_or(roles.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Content, Writer};
    use crate::ids::{DeviceId, Position, Seq};
    use crate::time::UnixMs;
    use crate::value::Value;

    fn writer(position: i64, role: &str, at: i64) -> Writer {
        let device = DeviceId(uuid::Uuid::from_u128(position as u128));
        let (seq, role) = (Seq(1), Role::parse(role).unwrap());
        Writer { position: Position(position), device, seq, role, at: UnixMs(at) }
    }

    fn check(rule: Rule, op: &Writer, stored: &Writer, expected: Decision) {
        let contender = |writer| Contender { writer, content: Content::Value(&Value::Null) };
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
        let contender = |writer| Contender { writer, content: Content::NotGiven };
        let rule = Rule::Custom { name: "missing".to_owned() };
        assert_eq!(decide(&rule, contender(&op), contender(&stored), &Resolvers::none()), None);
    }
}
