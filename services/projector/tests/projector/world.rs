//! A database with workspaces and devices, a witness of every committed step, and gates before and in its commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::{DeviceId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::verdict::Verdict;
use tidelog_postgres::{EventFilter, RecordsQuery, Store, StoreConfig, StoredVerdict, TokenHash, Wakeups};
use tidelog_projector::Projector;
use tidelog_testkit::TestDatabase;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::writer::Writer;

/// A catalog with one table for each kind of rule, to all of which [`Writer`] writes.
const CATALOG: &str = "roles = [\"member\"]\n[tables.last]\n[tables.first]\nrule = \"first_write_wins\"\n\
    [tables.manual]\nrule = \"manual\"";
pub(crate) const NOW: UnixMs = UnixMs(1_700_000_000_000);
const POOL_SIZE: usize = 8;
/// The limit of every wait, far above the time that any takes.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The witness records each step in the step's own transaction, so in the order of the steps. Then the step passes the gate
/// that [`World::shut_gate`] shuts by an exclusive lock. The gate of [`World::hold_commits`] is in the commit.
const WITNESS: &str = "
CREATE TABLE public.steps (n bigserial, workspace uuid, was bigint, became bigint);
CREATE TABLE public.broken (workspace uuid);
CREATE FUNCTION public.witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF EXISTS (SELECT FROM public.broken b WHERE b.workspace = NEW.workspace) THEN RAISE 'broken for a test'; END IF;
    INSERT INTO public.steps (workspace, was, became) VALUES (NEW.workspace, OLD.position, NEW.position);
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NEW;
END $$;
CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(2);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON tidelog.checkpoints DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.at_commit();
CREATE TRIGGER witness AFTER UPDATE ON tidelog.checkpoints FOR EACH ROW EXECUTE FUNCTION public.witness();
";

/// The database of one test.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    /// The test's own connection, as the owner of the database.
    pub(crate) owner: Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(&StoreConfig { url: database.url().to_owned(), pool_size: POOL_SIZE }).unwrap();
        store.apply_catalog(CATALOG, &Catalog::parse(CATALOG).unwrap(), NOW).await.unwrap();
        let owner = database.connect().await;
        owner.batch_execute(WITNESS).await.unwrap();
        Self { database, store, owner }
    }

    /// A device of a new workspace.
    pub(crate) async fn writer(&self, number: u128) -> Writer {
        let workspace = WorkspaceId(Uuid::from_u128(number));
        self.store.create_workspace(workspace, "test", &[], NOW).await.unwrap();
        self.another_writer(workspace, 1_000 * number).await
    }

    /// Another device of a workspace.
    pub(crate) async fn another_writer(&self, workspace: WorkspaceId, number: u128) -> Writer {
        let device = DeviceId(Uuid::from_u128(number));
        let sql = "INSERT INTO tidelog.devices (workspace, device, registered_at_ms, name, role, scopes, token_sha256)
            VALUES ($1, $2, 0, 'd', 'member', '{}', $3)";
        let token = TokenHash::of_stored(vec![0]);
        self.owner.execute(sql, &[&workspace.0, &device.0, &token.as_bytes()]).await.unwrap();
        Writer::new(workspace, device)
    }

    /// A projector with its wake-ups and its metrics, on connections of its own, as in another process.
    pub(crate) fn projector(&self) -> (Arc<Projector>, Arc<Wakeups>, Registry) {
        let (wakeups, registry) = (Arc::new(Wakeups::default()), Registry::new());
        let store = Store::new(&StoreConfig { url: self.database.url().to_owned(), pool_size: 4 }).unwrap();
        (Arc::new(Projector::new(store, Arc::clone(&wakeups), &registry).unwrap()), wakeups, registry)
    }

    /// A projector whose steps have one batch or a few, so that a short log takes many steps.
    pub(crate) fn projector_of_small_steps(&self) -> (Arc<Projector>, Registry) {
        let registry = Registry::new();
        let store = Store::new(&StoreConfig { url: self.database.url().to_owned(), pool_size: 4 }).unwrap();
        let projector = Projector::new(store, Arc::default(), &registry).unwrap();
        (Arc::new(projector.with_records_bytes_max(100).with_workers(1)), registry)
    }

    /// The steps of all workspaces in their order, each with the checkpoint before and after it.
    pub(crate) async fn steps(&self) -> Vec<(WorkspaceId, i64, i64)> {
        let rows = self.owner.query("SELECT workspace, was, became FROM public.steps ORDER BY n", &[]).await.unwrap();
        rows.iter().map(|row| (WorkspaceId(row.get(0)), row.get(1), row.get(2))).collect()
    }

    /// Makes every step wait right before its commit, when it has written everything.
    pub(crate) async fn shut_gate(&self) {
        self.owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    }

    /// Makes every step wait in its commit.
    pub(crate) async fn hold_commits(&self) {
        self.owner.batch_execute("SELECT pg_advisory_lock(2)").await.unwrap();
    }

    /// Lets the waiting steps continue.
    pub(crate) async fn open_gate(&self) {
        self.owner.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    }

    /// Ends every connection of the service, and waits until this world's store has new ones alone.
    pub(crate) async fn kill_connections(&self) {
        self.database.kill_connections().await;
        // The pool hands out its idle connections in turn, so as many pings use each of them.
        wait_until("new connections", async || {
            for _ in 0..POOL_SIZE {
                if self.store.ping().await.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits until a step waits at a gate.
    pub(crate) async fn step_at_gate(&self) {
        wait_until("a step to come to the gate", async || self.is_step_at_gate().await).await;
    }

    /// Whether a step waits at a gate.
    pub(crate) async fn is_step_at_gate(&self) -> bool {
        self.has_locks("locktype = 'advisory' AND NOT granted").await
    }

    /// Whether a transaction holds the lock on checkpoints that a step takes.
    pub(crate) async fn is_step_under_way(&self) -> bool {
        self.has_locks("relation = 'tidelog.checkpoints'::regclass AND mode = 'RowExclusiveLock'").await
    }

    async fn has_locks(&self, which: &str) -> bool {
        let of_this = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let sql = format!("SELECT count(*) FROM pg_locks WHERE {which} AND {of_this}");
        self.owner.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    }

    pub(crate) async fn is_folded(&self, workspace: WorkspaceId) -> bool {
        !self.store.lagging().await.unwrap().iter().any(|lag| lag.workspace == workspace)
    }

    pub(crate) async fn folded(&self, workspace: WorkspaceId) {
        wait_until("a workspace to be folded", async || self.is_folded(workspace).await).await;
    }

    /// The events of a log, read one by one, so without the code that reads many at once.
    pub(crate) async fn events(&self, workspace: WorkspaceId, head: Position) -> Vec<Event> {
        let mut events = Vec::new();
        for position in 1..=head.0 {
            events.push(self.store.event_at(workspace, Position(position)).await.unwrap().unwrap());
        }
        events
    }

    /// FOLD-1: asserts that the stored records and verdicts are those of core's fold of the whole log.
    pub(crate) async fn assert_records_equal_the_fold(&self, workspace: WorkspaceId) {
        let (store, all) = (&self.store, EventFilter::all());
        let head = store.head(workspace, Position::START).await.unwrap().unwrap().head;
        let mut folder = Folder::new();
        let events = self.events(workspace, head).await;
        let folded = events.iter().map(|event| {
            let folded = folder.fold(event).unwrap();
            StoredVerdict { position: event.position, verdict: folded.verdict, conflicts: folded.conflict_ids() }
        });
        let mut verdicts: Vec<_> = folded.collect();
        verdicts.retain(|event| event.verdict != Verdict::Applied || !event.conflicts.is_empty());
        folder.keep_changed();
        assert_eq!(store.verdicts(workspace, Position(1), head).await.unwrap(), verdicts);
        let query = RecordsQuery {
            after: Position::START,
            start: None,
            filter: &all,
            limit: 1_000_000,
            bytes: usize::MAX,
            full: true,
        };
        let mut stored = store.records(workspace, &query).await.unwrap();
        assert_eq!(stored.projected, head);
        stored.records.sort_by(|a, b| a.0.cmp(&b.0));
        let expected: Vec<_> = folder.records().map(|(key, record)| (key.clone(), record.clone())).collect();
        assert_eq!(stored.records, expected);
    }
}

/// A projector whose loop is running.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(projector: Arc<Projector>) -> Self {
        let (stop, stopping) = watch::channel(false);
        Self { stop, task: tokio::spawn(async move { projector.run(stopping).await }) }
    }

    /// Asks the loop to end.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Asks the loop to end, and waits for that.
    pub(crate) async fn stop(self) {
        self.ask_to_stop();
        tokio::time::timeout(WAIT_MAX, self.task).await.expect("the projector ends").unwrap();
    }
}

/// Waits until a condition holds.
pub(crate) async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < WAIT_MAX, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
