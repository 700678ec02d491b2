//! Ops that the server appends itself: each is in the log once, after the catalog by which it was judged, whatever else
//! is appended at the same time.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use tidelog_core::catalog::Catalog;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Role, Scope, Scopes, Seq, TableName, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Intent;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_postgres::{Store, StoreConfig, SystemAppendOutcome, SystemOp};
use tidelog_testkit::{DatabaseProxy, TestDatabase};
use tokio_postgres::Client;
use uuid::Uuid;

const CATALOG: &str = "roles = [\"member\", \"guest\"]\n[tables.notes]\nwrite = [\"member\"]";
const LATER_CATALOG: &str =
    "roles = [\"member\", \"guest\"]\n[tables.notes]\nwrite = [\"member\"]\n[tables.drawings]\nwrite = [\"member\"]";
const NOW: UnixMs = UnixMs(1_700_000_000_000);

async fn log() -> (Store, TestDatabase, WorkspaceId) {
    let database = TestDatabase::create().await;
    let store = Store::new(&StoreConfig { url: database.url().to_owned(), pool_size: 8 }).unwrap();
    store.apply_catalog(CATALOG, &Catalog::parse(CATALOG).unwrap(), NOW).await.unwrap();
    let workspace = WorkspaceId(Uuid::from_u128(1));
    store.create_workspace(workspace, "test", &[], NOW).await.unwrap();
    // The first event of the log, its catalog, as a push would have made it.
    let owner = database.connect().await;
    owner
        .batch_execute(
            "INSERT INTO tidelog.log SELECT '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000000',
                1, 1, 0, 0, 0, digest, 0, 1, '_catalog', 'catalog', '', '', '', '', '', fields FROM tidelog.catalogs;
            UPDATE tidelog.heads SET catalog_version = 1",
        )
        .await
        .unwrap();
    (store, database, workspace)
}

fn op(table: &str, value: i64) -> SystemOp {
    SystemOp {
        key: RecordKey {
            table: TableName::parse(table).unwrap(),
            scope: Scope::parse("store-1").unwrap(),
            record: RecordId::parse("n").unwrap(),
        },
        intent: Intent::Put(Fields::from_iter([("n", Value::Int(value))]).into()),
        base: Position(1),
        at: None,
        role: Role::parse("member").unwrap(),
        scopes: Some(Scopes::All),
        actor: Actor::parse("somebody").unwrap(),
        readmits: None,
    }
}

#[tokio::test]
async fn an_op_is_in_the_log_with_the_role_and_actor_it_is_made_for() {
    let (store, _database, workspace) = log().await;
    let appended = store.append_as_system(workspace, &op("notes", 7), NOW).await.unwrap();
    assert_eq!(appended, SystemAppendOutcome::Appended { position: Position(2), seq: Seq(2) });
    let event = store.event_at(workspace, Position(2)).await.unwrap().unwrap();
    assert_eq!((event.device, event.base, event.at, event.rejected), (DeviceId::SYSTEM, Position(1), NOW, None));
    assert_eq!((event.role.as_str(), event.actor.as_str()), ("member", "somebody"));
    assert_eq!(event.intent, Intent::Put(Fields::from_iter([("n", Value::Int(7))])));
    let dated = SystemOp { at: Some(UnixMs(5)), ..op("notes", 7) };
    store.append_as_system(workspace, &dated, NOW).await.unwrap();
    assert_eq!(store.event_at(workspace, Position(3)).await.unwrap().unwrap().at, UnixMs(5));
}

#[tokio::test]
async fn a_catalog_that_the_log_lacks_comes_before_the_op() {
    let (store, _database, workspace) = log().await;
    store.apply_catalog(LATER_CATALOG, &Catalog::parse(LATER_CATALOG).unwrap(), NOW).await.unwrap();
    let appended = store.append_as_system(workspace, &op("drawings", 7), NOW).await.unwrap();
    assert_eq!(appended, SystemAppendOutcome::Appended { position: Position(3), seq: Seq(3) });
    assert_eq!(store.event_at(workspace, Position(2)).await.unwrap().unwrap().table, TableName::catalog());
}

#[tokio::test]
async fn an_op_that_the_catalog_forbids_takes_no_position() {
    let (store, _database, workspace) = log().await;
    let guest = SystemOp { role: Role::parse("guest").unwrap(), ..op("notes", 1) };
    let elsewhere = SystemOp { scopes: Some(Scopes::Listed(Vec::new())), ..op("notes", 1) };
    for (op, code) in [
        (op("drawings", 1), RejectCode::TableUnknown),
        (guest.clone(), RejectCode::RoleForbidden),
        (elsewhere.clone(), RejectCode::ScopeForbidden),
    ] {
        assert_eq!(store.append_as_system(workspace, &op, NOW).await.unwrap(), SystemAppendOutcome::Rejected(code));
    }
    assert_eq!(store.head(workspace, Position::START).await.unwrap().unwrap().head, Position(1));
    let operators = SystemOp { scopes: None, ..guest };
    let appended = store.append_as_system(workspace, &operators, NOW).await.unwrap();
    assert_eq!(appended, SystemAppendOutcome::Appended { position: Position(2), seq: Seq(2) });
}

#[tokio::test]
async fn many_equal_ops_at_once_have_a_position_each() {
    let (store, _database, workspace) = log().await;
    let appends = (0..24).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.append_as_system(workspace, &op("notes", 1), NOW).await.unwrap() })
    });
    let mut places = Vec::new();
    for append in appends.collect::<Vec<_>>() {
        let SystemAppendOutcome::Appended { position, seq } = append.await.unwrap() else { panic!("not appended") };
        assert_eq!(position.0, seq.0);
        places.push(position.0);
    }
    places.sort_unstable();
    assert_eq!(places, (2..26).collect::<Vec<_>>());
}

/// Makes the commit of every note wait while a connection holds lock 1, and records whose commits happened.
const GATE: &str = "
CREATE TABLE public.commits (n bigserial, pid integer);
CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO public.commits (pid) VALUES (pg_backend_pid());
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON tidelog.log DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.table_name = 'notes') EXECUTE FUNCTION public.at_commit();
";

/// The connection, other than `besides`, that waits for a lock of this kind.
async fn waiting(owner: &Client, kind: &str, besides: i32) -> i32 {
    let sql = format!(
        "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
        WHERE NOT l.granted AND l.locktype {kind} AND l.pid <> $1"
    );
    let began = Instant::now();
    loop {
        if let Some(row) = owner.query_opt(&sql, &[&besides]).await.unwrap() {
            return row.get(0);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nobody waits");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// LOG-1. A commit of unknown outcome has happened or not: either way the op is in the log once, at the returned
/// position.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_whose_commit_has_an_unknown_outcome_is_in_the_log_once() {
    let (store, database, workspace) = log().await;
    let owner = database.connect().await;
    owner.batch_execute(GATE).await.unwrap();
    let proxy = DatabaseProxy::start(&database).await;
    for (place, happens) in [(2, true), (3, false), (4, true)] {
        owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
        let through = Store::new(&StoreConfig { url: proxy.url().to_owned(), pool_size: 2 }).unwrap();
        let append = tokio::spawn(async move { through.append_as_system(workspace, &op("notes", 7), NOW).await });
        let first = waiting(&owner, "= 'advisory'", 0).await;
        if happens {
            proxy.cut();
            // The second attempt waits for the log, which the first one still has locked.
            waiting(&owner, "<> 'advisory'", first).await;
        } else {
            owner.query("SELECT pg_terminate_backend($1)", &[&first]).await.unwrap();
            waiting(&owner, "= 'advisory'", first).await;
        }
        owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
        let appended = append.await.unwrap().unwrap();
        assert_eq!(appended, SystemAppendOutcome::Appended { position: Position(place), seq: Seq(place) });
        let committed: i32 =
            owner.query_one("SELECT pid FROM public.commits ORDER BY n DESC LIMIT 1", &[]).await.unwrap().get(0);
        assert_eq!(
            committed == first,
            happens,
            "the commit of unknown outcome was the one that happened, or the next was"
        );
        assert_eq!(store.head(workspace, Position::START).await.unwrap().unwrap().head, Position(place));
    }
}
