//! Verify finds every kind of damage.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_projector::{Progress, Projector};

use crate::exactly_once::random;
use crate::rebuild::{append, two_writers};
use crate::world::World;

/// So many events that some record has blocks of history outside its own row.
const EVENTS_MANY: usize = 2_400;
const EVENTS: usize = 200;

const A_RECORD: &str = "(table_name, scope, record) = (SELECT table_name, scope, record FROM tidelog.records
    WHERE workspace = $1 AND NOT deleted ORDER BY table_name, scope, record LIMIT 1)";

/// Each kind of damage to a workspace as an SQL statement, and a part of the fault that verify reports.
fn damages() -> Vec<(String, &'static str)> {
    let record = |change: &str| format!("UPDATE tidelog.records SET {change} WHERE workspace = $1 AND {A_RECORD}");
    let first = |table: &str, order: &str| {
        format!(
            "workspace = $1 AND ({order}) = (SELECT {order} FROM tidelog.{table} WHERE workspace = $1 ORDER BY {order} LIMIT 1)"
        )
    };
    let (conflict, verdict) = (first("conflicts", "position, field"), first("verdicts", "position"));
    let block = first("record_events", "table_name, scope, record, block");
    let log = |change: &str| format!("UPDATE tidelog.log SET {change} WHERE workspace = $1 AND position = 40");
    let differs = "differs from the fold of the log";
    vec![
        ("DELETE FROM tidelog.log WHERE workspace = $1 AND position = 40".into(), "the log lacks the events"),
        ("DELETE FROM tidelog.log WHERE workspace = $1 AND position > 150".into(), "after the end of the log"),
        (log("seq = seq + 1000000"), "has seq"),
        (log("received_at_ms = received_at_ms - 5"), "was stored at an earlier time"),
        (log("record = 'another'"), "does not match its digest"),
        (log("fields = '\\x81a16101', kind = 1"), "does not match its digest"),
        (log("batch_offset = 30000"), "neither begins a batch nor continues"),
        (record("fields = '\\x80'"), differs),
        (record("state = state || '\\x00'"), differs),
        (record("version = version + 1"), differs),
        (record("touched = touched + 1"), differs),
        (record("updated_at_ms = 1"), differs),
        (record("deleted = NOT deleted"), differs),
        (record("open_conflicts = open_conflicts + 1"), differs),
        (record("record = 'another'"), "should not exist"),
        (format!("DELETE FROM tidelog.records WHERE workspace = $1 AND {A_RECORD}"), "is missing"),
        (format!("UPDATE tidelog.verdicts SET verdict = 'applied' || verdict WHERE {verdict}"), "has a wrong verdict"),
        (format!("DELETE FROM tidelog.verdicts WHERE {verdict}"), "lacks its verdict"),
        (
            "INSERT INTO tidelog.verdicts (workspace, table_set, position, verdict) VALUES ($1, 0, 1, 'merged')".into(),
            "should have none",
        ),
        (format!("UPDATE tidelog.conflicts SET status = 'resolved', closed_position = 7 WHERE {conflict}"), differs),
        (format!("UPDATE tidelog.conflicts SET loser_value = '\\xc3' WHERE {conflict}"), differs),
        (format!("UPDATE tidelog.conflicts SET rule = 'limit' WHERE {conflict}"), differs),
        (format!("DELETE FROM tidelog.conflicts WHERE {conflict}"), "is missing"),
        (format!("UPDATE tidelog.conflicts SET field = 'another' WHERE {conflict}"), "should not exist"),
        (format!("UPDATE tidelog.record_events SET positions[3] = positions[3] + 1 WHERE {block}"), differs),
        (format!("DELETE FROM tidelog.record_events WHERE {block}"), "is missing"),
        ("UPDATE tidelog.checkpoints SET catalog_position = 0 WHERE workspace = $1".into(), "which it is not"),
        ("UPDATE tidelog.digests SET low = low # 1 WHERE workspace = $1".into(), "does not match its records"),
        ("DELETE FROM tidelog.digests WHERE workspace = $1 AND scope = '*'".into(), "does not match its records"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_damage_is_reported_and_an_undamaged_workspace_has_no_fault() {
    let mut random = random();
    let world = World::start().await;
    let projector = Projector::new(world.store.clone(), Arc::default(), &Registry::new()).unwrap();
    for (number, (damage, expected)) in damages().into_iter().enumerate() {
        let mut writers = two_writers(&world, 1 + number as u128).await;
        let workspace = writers[0].workspace;
        let events = if damage.contains("record_events") { EVENTS_MANY } else { EVENTS };
        append(&world, &mut writers, &mut random, events).await;
        while projector.step(workspace).await.unwrap() != Progress::Idle {}
        let whole = projector.verify(workspace).await.unwrap();
        assert_eq!(whole.faults.first, Vec::<String>::new(), "before {damage}");
        assert!(whole.tables.values().all(|digest| digest.records > 0) && !whole.tables.is_empty());
        let changed = world.owner.execute(&damage, &[&workspace.0]).await.unwrap();
        assert!(changed > 0, "{damage}");
        let damaged = projector.verify(workspace).await.unwrap();
        assert!(damaged.faults.first.iter().any(|fault| fault.contains(expected)), "{damage}: {:?}", damaged.faults);
    }
}
