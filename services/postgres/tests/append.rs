//! The append itself, without a gateway: every status, and batches of one group beside each other.

#![expect(clippy::unwrap_used, reason = "tests")]

use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::digest::Digest;
use tidelog_core::ids::{
    Actor, CatalogVersion, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId,
};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_postgres::{AppendBatch, AppendStatus, JudgedOp, Store, StoreConfig, StoreError, TokenHash};
use tidelog_testkit::{DatabaseProxy, TestDatabase};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const CATALOG: &str = "roles = [\"member\"]\n[tables.notes]";
const NOW: UnixMs = UnixMs(1_700_000_000_000);

struct Log {
    store: Store,
    database: TestDatabase,
    workspaces: u128,
    devices: u128,
}

impl Log {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(&StoreConfig { url: database.url().to_owned(), pool_size: 8 }).unwrap();
        store.apply_catalog(CATALOG, &Catalog::parse(CATALOG).unwrap(), NOW).await.unwrap();
        Self { store, database, workspaces: 0, devices: 0 }
    }

    async fn workspace(&mut self) -> WorkspaceId {
        self.workspaces += 1;
        let workspace = WorkspaceId(Uuid::from_u128(self.workspaces));
        self.store.create_workspace(workspace, "test", &[], NOW).await.unwrap();
        workspace
    }

    async fn device(&mut self, workspace: WorkspaceId) -> DeviceId {
        self.devices += 1;
        let device = DeviceId(Uuid::from_u128(1_000 + self.devices));
        let sql = "INSERT INTO tidelog.devices (workspace, device, registered_at_ms, name, role, scopes, token_sha256)
            VALUES ($1, $2, 0, 'd', 'member', '{}', $3)";
        let token = TokenHash::of_stored(vec![0]);
        let owner = self.database.connect().await;
        owner.execute(sql, &[&workspace.0, &device.0, &token.as_bytes()]).await.unwrap();
        device
    }

    async fn append(&self, workspace: WorkspaceId, batches: &[&AppendBatch]) -> Vec<AppendStatus> {
        let batches: Vec<_> = batches.iter().map(|batch| (workspace, *batch)).collect();
        let appended = self.store.append(NOW, CatalogVersion(1), &batches).await.unwrap();
        appended.into_iter().map(|appended| appended.status).collect()
    }
}

fn batch(device: DeviceId, seqs: std::ops::RangeInclusive<i64>) -> AppendBatch {
    let ops = seqs.map(|seq| {
        let op = Op {
            seq: Seq(seq),
            table: TableName::parse("notes").unwrap(),
            record: RecordId::parse(format!("n{seq}")).unwrap(),
            scope: Scope::everyone(),
            intent: Intent::Put(Fields::from_iter([("n", Value::Int(seq))]).into()),
            base: None,
            at: None,
            actor: Actor::nobody(),
        };
        JudgedOp { digest: op.digest(device), op, base: Position(0), rejected: None }
    });
    AppendBatch { device, role: Role::parse("member").unwrap(), cursor: None, ops: ops.collect() }
}

fn runs(status: &AppendStatus) -> Vec<(i64, i64, i64)> {
    match status {
        AppendStatus::Appended { runs, .. } => runs.iter().map(|run| (run.seq.0, run.count, run.position.0)).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_batch_does_not_affect_the_others_of_its_group() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let mut devices = Vec::new();
    for _ in 0..7 {
        devices.push(log.device(workspace).await);
    }
    log.append(workspace, &[&batch(devices[3], 1..=2)]).await;
    log.store.revoke_device(workspace, devices[1], NOW).await.unwrap();
    let stranger = DeviceId(Uuid::from_u128(7));
    let mut other_content = batch(devices[3], 2..=3);
    other_content.ops[0].digest = Digest(0);
    let cursor = |position, check| Some(Cursor { position: Position(position), check: CursorCheck(check) });
    let ahead = AppendBatch { cursor: cursor(99, 1), ..batch(devices[4], 1..=1) };
    let diverged = AppendBatch { cursor: cursor(2, 1), ..batch(devices[5], 1..=1) };
    let mut base_ahead = batch(devices[6], 1..=1);
    base_ahead.ops[0].base = Position(50);
    let good = batch(devices[0], 1..=3);
    let gap = batch(devices[2], 2..=2);
    let group = [
        &batch(stranger, 1..=1),
        &batch(devices[1], 1..=1),
        &good,
        &gap,
        &other_content,
        &ahead,
        &diverged,
        &base_ahead,
    ];
    let statuses = log.append(workspace, &group).await;
    assert_eq!(statuses[0], AppendStatus::Unregistered);
    assert_eq!(statuses[1], AppendStatus::Revoked);
    assert_eq!(runs(&statuses[2]), [(1, 3, 5)], "after the event of the revocation");
    assert_eq!(statuses[3], AppendStatus::SeqGap(Seq(1)));
    assert_eq!(statuses[4], AppendStatus::SeqDiffers);
    assert_eq!(statuses[5], AppendStatus::CursorAhead);
    assert_eq!(statuses[6], AppendStatus::CursorDiverged);
    assert_eq!(statuses[7], AppendStatus::BaseAhead);
    let head = log.store.head(workspace, Position(0)).await.unwrap().unwrap().head;
    assert_eq!(head, Position(7), "no position is lost to a refusal");
}

#[tokio::test]
async fn a_group_is_stored_batch_by_batch_with_dense_positions() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let (one, two, three) = (log.device(workspace).await, log.device(workspace).await, log.device(workspace).await);
    let statuses = log.append(workspace, &[&batch(one, 1..=2), &batch(two, 1..=3), &batch(three, 1..=1)]).await;
    assert_eq!(statuses.iter().map(runs).collect::<Vec<_>>(), [vec![(1, 2, 2)], vec![(1, 3, 4)], vec![(1, 1, 7)]]);
    let statuses = log.append(workspace, &[&batch(two, 2..=5), &batch(one, 1..=2), &batch(three, 2..=2)]).await;
    assert_eq!(runs(&statuses[0]), [(2, 2, 5), (4, 2, 8)], "the stored ops, then the new ones");
    assert_eq!(runs(&statuses[1]), [(1, 2, 2)]);
    assert_eq!(runs(&statuses[2]), [(2, 1, 10)]);
    let owner = log.database.connect().await;
    let rows =
        owner.query("SELECT position, position - batch_offset FROM tidelog.log ORDER BY position", &[]).await.unwrap();
    let places: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 7), (8, 8), (9, 8), (10, 10)];
    assert_eq!(places, expected);
}

#[tokio::test]
async fn several_workspaces_go_in_one_transaction() {
    let mut log = Log::start().await;
    let (here, there) = (log.workspace().await, log.workspace().await);
    let (one, two) = (log.device(here).await, log.device(there).await);
    let (first, second, gap) = (batch(one, 1..=2), batch(two, 1..=1), batch(two, 5..=5));
    let answers = log.store.append(NOW, CatalogVersion(1), &[(here, &first), (there, &second)]).await.unwrap();
    assert_eq!((runs(&answers[0].status), runs(&answers[1].status)), (vec![(1, 2, 2)], vec![(1, 1, 2)]));
    assert_eq!((answers[0].head, answers[1].head), (Position(3), Position(2)));
    let owner = log.database.connect().await;
    let count = "SELECT count(DISTINCT xmin::text) FROM tidelog.log";
    assert_eq!(owner.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1, "one transaction");
    let answers = log.store.append(NOW, CatalogVersion(1), &[(here, &first), (there, &gap)]).await.unwrap();
    assert_eq!(answers[1].status, AppendStatus::SeqGap(Seq(2)), "a refused batch does not fail the group");
}

/// The fast path of the append is for groups without a special case: one refused batch sends the whole group down the
/// slow path, and stores nothing itself.
#[tokio::test]
async fn a_refused_batch_among_good_ones_is_found_whatever_is_wrong_with_it() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let (good, revoked) = (log.device(workspace).await, log.device(workspace).await);
    let other = log.device(workspace).await;
    log.append(workspace, &[&batch(good, 1..=1), &batch(other, 1..=2)]).await;
    log.store.revoke_device(workspace, revoked, NOW).await.unwrap();
    let at = |position| Cursor { position: Position(position), check: CursorCheck(5) };
    let mut cloned = batch(other, 2..=3);
    cloned.ops[0].digest = Digest(7);
    let mut ahead = batch(other, 3..=3);
    ahead.ops[0].base = Position(1_000);
    let rows = [
        (batch(DeviceId(Uuid::from_u128(9)), 1..=1), AppendStatus::Unregistered),
        (batch(revoked, 1..=1), AppendStatus::Revoked),
        (AppendBatch { cursor: Some(at(1_000)), ..batch(other, 3..=3) }, AppendStatus::CursorAhead),
        (AppendBatch { cursor: Some(at(2)), ..batch(other, 3..=3) }, AppendStatus::CursorDiverged),
        (batch(other, 4..=4), AppendStatus::SeqGap(Seq(3))),
        (cloned, AppendStatus::SeqDiffers),
        (ahead, AppendStatus::BaseAhead),
    ];
    for (seq, (refused, expected)) in (2..).zip(rows) {
        let before = log.store.head(workspace, Position(0)).await.unwrap().unwrap().head.0;
        let statuses = log.append(workspace, &[&batch(good, seq..=seq), &refused]).await;
        assert_eq!((runs(&statuses[0]), &statuses[1]), (vec![(seq, 1, before + 1)], &expected));
        let head = log.store.head(workspace, Position(0)).await.unwrap().unwrap().head.0;
        assert_eq!(head, before + 1, "{expected:?} stores nothing");
    }
}

#[tokio::test]
async fn a_batch_judged_by_another_catalog_is_refused_before_anything_is_stored() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let device = log.device(workspace).await;
    let newer = "roles = [\"member\"]\n[tables.notes]\n[tables.tasks]";
    log.store.apply_catalog(newer, &Catalog::parse(newer).unwrap(), NOW).await.unwrap();
    assert_eq!(log.append(workspace, &[&batch(device, 1..=1)]).await, [AppendStatus::CatalogStale]);
    let head = log.store.head(workspace, Position(0)).await.unwrap().unwrap();
    assert_eq!((head.head, head.catalog_version), (Position(0), 0));
}

#[tokio::test]
async fn the_servers_clock_may_step_back_but_received_at_does_not() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let device = log.device(workspace).await;
    log.append(workspace, &[&batch(device, 1..=1)]).await;
    let earlier = UnixMs(NOW.0 - 60_000);
    log.store.append(earlier, CatalogVersion(1), &[(workspace, &batch(device, 2..=2))]).await.unwrap();
    let event = log.store.event_at(workspace, Position(3)).await.unwrap().unwrap();
    assert_eq!((event.received_at, event.at), (NOW, NOW));
}

#[tokio::test]
async fn appends_from_many_connections_to_one_workspace_are_dense() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let mut devices = Vec::new();
    for _ in 0..8 {
        devices.push(log.device(workspace).await);
    }
    let pushes = devices.iter().map(|device| async {
        for start in 0..40 {
            let (first, last) = (start * 3 + 1, start * 3 + 3);
            runs(&log.append(workspace, &[&batch(*device, first..=last)]).await[0]);
        }
    });
    futures_util::future::join_all(pushes).await;
    let owner = log.database.connect().await;
    let row = owner.query_one("SELECT count(*), min(position), max(position) FROM tidelog.log", &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (961, 1, 961));
}

/// Makes every commit wait while a connection holds lock 1.
const GATE: &str = "
CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON tidelog.log DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.at_commit();
";

/// LOG-1, LOG-2. What a commit apart says is so: not stored, stored, or unknown, and then one more append finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_apart_says_whether_the_rows_are_stored() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let device = log.device(workspace).await;
    let owner = log.database.connect().await;
    let count = async || {
        let sql = "SELECT count(*) FROM tidelog.log WHERE table_name = 'notes'";
        owner.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let append = async |store: &Store, batch: &AppendBatch, written: Box<dyn FnOnce() + Send>| {
        store.append_then_commit(NOW, CatalogVersion(1), &[(workspace, batch)], written).await
    };
    // Not stored, and the connection is good for the next append.
    owner.batch_execute("ALTER TABLE tidelog.log ADD CONSTRAINT broken CHECK (table_name <> 'notes')").await.unwrap();
    let error = append(&log.store, &batch(device, 1..=2), Box::new(|| ())).await.unwrap_err();
    assert!(matches!(error, StoreError::Database(_)), "{error}");
    owner.batch_execute("ALTER TABLE tidelog.log DROP CONSTRAINT broken").await.unwrap();
    assert_eq!(count().await, 0);
    let appended = append(&log.store, &batch(device, 1..=2), Box::new(|| ())).await.unwrap();
    assert_eq!((runs(&appended[0].status), count().await), (vec![(1, 2, 2)], 2));

    // The connection breaks while the commit is under way.
    owner.batch_execute(GATE).await.unwrap();
    owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let proxy = DatabaseProxy::start(&log.database).await;
    let through = Store::new(&StoreConfig { url: proxy.url().to_owned(), pool_size: 2 }).unwrap();
    let (written, is_written) = tokio::sync::oneshot::channel();
    let lost = batch(device, 3..=4);
    let batches = [(workspace, &lost)];
    let appending = through.append_then_commit(NOW, CatalogVersion(1), &batches, || written.send(()).unwrap());
    let cutting = async {
        is_written.await.unwrap();
        proxy.cut();
    };
    let (error, ()) = futures_util::future::join(appending, cutting).await;
    assert!(matches!(error, Err(StoreError::CommitUnknown(_))), "{error:?}");
    assert_eq!(count().await, 2, "written, and not committed yet");
    owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let again = append(&log.store, &lost, Box::new(|| ())).await.unwrap();
    assert_eq!((runs(&again[0].status), count().await), (vec![(3, 2, 4)], 4), "stored once");
}

/// The last safeguard of LOG-1, and its control: without the primary key an op could be stored twice.
#[tokio::test]
async fn the_primary_key_alone_already_forbids_a_second_effect() {
    let mut log = Log::start().await;
    let workspace = log.workspace().await;
    let device = log.device(workspace).await;
    log.append(workspace, &[&batch(device, 1..=2)]).await;
    let owner = log.database.connect().await;
    // As if an append took stored ops for new ones.
    let columns =
        "seq, base, at_ms, received_at_ms, digest, batch_offset, kind, table_name, record, scope, role, actor,
        conflict, rejected, fields";
    let again = format!(
        "INSERT INTO tidelog.log (workspace, device, position, {columns})
        SELECT workspace, device, position + 10, {columns} FROM tidelog.log WHERE device = $1"
    );
    let refused = owner.execute(&again, &[&device.0]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::UNIQUE_VIOLATION), "the key refuses");
    owner.batch_execute("ALTER TABLE tidelog.log DROP CONSTRAINT log_pkey").await.unwrap();
    owner.execute(&again, &[&device.0]).await.unwrap();
    let twice = owner.query_one("SELECT count(*) FROM tidelog.log WHERE device = $1", &[&device.0]).await.unwrap();
    assert_eq!(twice.get::<_, i64>(0), 4, "and without the key the same op is stored twice");
}
