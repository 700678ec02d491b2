//! Lays ops on a record.

use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::Position;
use tidelog_core::judge::judge;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;

use crate::folding::{Me, Rules, fold};
use crate::overlay::seen::Predicted;
use crate::store::Fault;

/// What an op is taken to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lay {
    /// Everything before it.
    Mine,
    /// What is up to its base.
    Predicted,
}

/// What ops are laid on.
pub(crate) struct Ground {
    /// The rules; `None` before the first catalog.
    pub(crate) rules: Option<Rules>,
    pub(crate) me: Me,
    /// How far the local records are.
    pub(crate) position: Position,
    pub(crate) now: UnixMs,
}

/// A record with ops laid on it, and what became of each.
pub(crate) struct Laid {
    pub(crate) record: Option<Record>,
    pub(crate) predicted: Vec<Predicted>,
}

/// Lays ops on a record. An op that the rules reject has no effect.
pub(crate) fn lay(
    ground: &Ground,
    key: &RecordKey,
    confirmed: Option<Record>,
    ops: &[Op],
    by: Lay,
) -> Result<Laid, Fault> {
    if ops.is_empty() {
        return Ok(Laid { record: confirmed, predicted: Vec::new() });
    }
    let rules = match &ground.rules {
        Some(rules) => rules.clone(),
        None => Rules::unknown(&key.table)?,
    };
    let is_known = ground.rules.is_some() && ground.me.is_known;
    let mut folder = rules.folder();
    let touched = confirmed.as_ref().map_or(Position::START, |record| record.touched);
    let mut position = Position(ground.position.0.max(touched.0));
    if let Some(record) = confirmed {
        folder.load(key.clone(), record);
    }
    let mut predicted = Vec::with_capacity(ops.len());
    for op in ops {
        let rejected = judge(&rules.catalog, &ground.me.role, &ground.me.scopes, op).filter(|_| is_known);
        if let Some(code) = rejected {
            predicted.push(Predicted::Rejected(code));
            continue;
        }
        let event = hypothetical(ground, op, position, by);
        position = event.position;
        let outcome = fold(&mut folder, &event)?;
        predicted.push(if is_known { Predicted::Verdict(outcome.verdict) } else { Predicted::Unknown });
    }
    Ok(Laid { record: folder.record(key).cloned(), predicted })
}

/// The event that an op would be if it were stored now.
fn hypothetical(ground: &Ground, op: &Op, after: Position, by: Lay) -> Event {
    let position = Position(after.0 + 1);
    let at = op.at.unwrap_or(ground.now);
    Event {
        position,
        batch: position,
        device: ground.me.device,
        seq: op.seq,
        table: op.table.clone(),
        record: op.record.clone(),
        scope: op.scope.clone(),
        intent: op.intent.unpack(),
        base: match by {
            Lay::Mine => after,
            Lay::Predicted => op.base.unwrap_or(Position::START),
        },
        at,
        received_at: UnixMs(ground.now.0.max(at.0)),
        role: ground.me.role.clone(),
        actor: op.actor.clone(),
        rejected: None,
        digest: Digest(0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tidelog_core::catalog::Catalog;
    use tidelog_core::fold::Resolvers;
    use tidelog_core::ids::{Actor, DeviceId, RecordId, Role, Scope, Scopes, Seq, TableName};
    use tidelog_core::op::Intent;
    use tidelog_core::value::{Fields, Value};
    use tidelog_core::wire::CatalogView;

    use super::*;

    const POSITION: Position = Position(100);

    fn rules(rule: &str, on_delete: &str, granularity: &str) -> Rules {
        let text = format!(
            "roles = [\"staff\"]\n[tables.t]\nrule = \"{rule}\"\non_delete = \"{on_delete}\"\ngranularity = \"{granularity}\"\n\
             [tables.t.fields]\nsum = {{ type = \"integer\", merge = \"sum\" }}\nunion = {{ type = \"array\", merge = \"union\" }}"
        );
        let catalog = Catalog::parse(&text).unwrap();
        Rules::of(&CatalogView { version: 1, catalog: catalog.file }, &Resolvers::none()).unwrap()
    }

    fn ground(rules: Rules) -> Ground {
        let device = DeviceId::parse("00000000-0000-4000-8000-000000000001").unwrap();
        let role = Role::parse("staff").unwrap();
        let me = Me { device, role, scopes: Scopes::All, is_known: true };
        Ground { rules: Some(rules), me, position: POSITION, now: UnixMs(5_000) }
    }

    fn key() -> RecordKey {
        let (table, record) = (TableName::parse("t").unwrap(), RecordId::parse("r").unwrap());
        RecordKey { table, scope: Scope::everyone(), record }
    }

    fn op(seq: i64, intent: Intent) -> Op {
        let RecordKey { table, scope, record } = key();
        let (base, at, actor) = (Some(POSITION), Some(UnixMs(4_000 + seq)), Actor::nobody());
        Op { seq: Seq(seq), table, record, scope, intent: intent.into(), base, at, actor }
    }

    fn intent() -> impl Strategy<Value = Intent> {
        let text = (0_i64..3).prop_map(|n| ("text".to_owned(), Value::Int(n)));
        let sum = (-3_i64..3).prop_map(|n| ("sum".to_owned(), Value::Int(n)));
        let union = (0_i64..4).prop_map(|n| ("union".to_owned(), Value::Array(vec![Value::Int(n)])));
        let fields = prop::collection::vec(prop_oneof![text, sum, union], 0..3);
        let put = fields.prop_map(|fields| Intent::Put(Fields(fields.into_iter().collect::<BTreeMap<_, _>>())));
        prop_oneof![5 => put, 1 => Just(Intent::Delete)]
    }

    proptest! {
        /// C-14: what a user sees of its own unsent ops is what the log makes of them, if nobody else writes.
        #[test]
        fn c_14_the_overlay_of_own_ops_is_their_echo(
            rule in prop::sample::select(vec!["last_write_wins", "first_write_wins", "role_priority", "manual"]),
            on_delete in prop::sample::select(vec!["delete_wins", "update_wins", "rule", "manual"]),
            granularity in prop::sample::select(vec!["field", "record"]),
            before in prop::collection::vec(intent(), 0..4),
            mine in prop::collection::vec(intent(), 1..5),
        ) {
            let ground = ground(rules(rule, on_delete, granularity));
            // The confirmed record, made by another device.
            let mut folder = ground.rules.as_ref().unwrap().folder();
            for (index, intent) in before.into_iter().enumerate() {
                let at = Position(10 + index as i64);
                let mut event = hypothetical(&ground, &op(1, intent), at, Lay::Mine);
                event.device = DeviceId::parse("00000000-0000-4000-8000-000000000002").unwrap();
                fold(&mut folder, &event).unwrap();
            }
            let confirmed = folder.record(&key()).cloned();
            let ops: Vec<_> = mine.into_iter().zip(1..).map(|(intent, seq)| op(seq, intent)).collect();
            let laid = lay(&ground, &key(), confirmed, &ops, Lay::Mine).unwrap();
            // The echo: each op with the base that it was made with.
            for (op, position) in ops.iter().zip(POSITION.0..) {
                let mut event = hypothetical(&ground, op, Position(position), Lay::Predicted);
                event.received_at = UnixMs(9_000);
                fold(&mut folder, &event).unwrap();
            }
            let echo = folder.record(&key()).unwrap();
            let seen = laid.record.unwrap();
            prop_assert_eq!((seen.deleted, seen.plain()), (echo.deleted, echo.plain()));
        }
    }

    #[test]
    fn an_op_that_the_rules_reject_has_no_effect_and_is_predicted() {
        let ground = ground(rules("last_write_wins", "delete_wins", "field"));
        let wrong = Intent::Put(Fields::from_iter([("sum", Value::Text("many".to_owned()))]));
        let laid = lay(&ground, &key(), None, &[op(1, wrong)], Lay::Mine).unwrap();
        assert_eq!(laid.predicted, [Predicted::Rejected(tidelog_core::judge::RejectCode::FieldType)]);
        assert!(laid.record.is_none());
    }
}
