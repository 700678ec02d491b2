//! `tidelog.append` against its predecessor: random groups of batches go through both, on a database each. They have to
//! return equal rows and to leave equal logs.
//!
//! Both are called in the old form, so the test also covers servers that still use it. It goes when that form goes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod group;
mod world;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidelog_testkit::TestDatabase;
use tokio_postgres::{Client, Row, Statement};

use group::Group;
use world::World;

/// `tidelog.append` of migration 0004.
const BEFORE: &str = include_str!("before.sql");
/// The planner's settings of the service's connections.
const SESSION: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;
    SET enable_bitmapscan = off; SET enable_sort = off; SET ROLE tidelog_service";
/// `shift` has a meaning for appended batches only.
const CALL: &str = "SELECT status, concat_ws(' ', status, 'last_seq', last_seq, 'head', head, 'shift',
        CASE WHEN status = 'appended' THEN shift END, stored_seqs, stored_positions, stored_rejected)
    FROM tidelog.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
        $23, $24, $25)";
const STATUSES: [&str; 9] = [
    "appended",
    "base_ahead",
    "catalog_stale",
    "cursor_ahead",
    "cursor_diverged",
    "revoked",
    "seq_differs",
    "seq_gap",
    "unregistered",
];

/// A database with one of the two functions.
struct Side {
    owner: Client,
    service: Client,
    append: Statement,
    _database: TestDatabase,
}

impl Side {
    async fn start(function: &str) -> Self {
        let database = TestDatabase::create().await;
        let (owner, service) = (database.connect().await, database.connect().await);
        owner.batch_execute(function).await.unwrap();
        owner.batch_execute(&world::setup()).await.unwrap();
        service.batch_execute(SESSION).await.unwrap();
        let append = service.prepare(CALL).await.unwrap();
        Self { owner, service, append, _database: database }
    }

    async fn append(&self, group: &Group) -> Vec<(String, String)> {
        let rows = self.service.query(&self.append, &group.params()).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Everything that an append can change.
    async fn contents(&self) -> Vec<String> {
        let sql = "SELECT l::text FROM (SELECT * FROM tidelog.log ORDER BY workspace, position) l
            UNION ALL SELECT h::text FROM (SELECT * FROM tidelog.heads ORDER BY workspace) h";
        self.owner.query(sql, &[]).await.unwrap().iter().map(|row: &Row| row.get(0)).collect()
    }
}

/// LOG-1, LOG-3. `TIDELOG_SOAK_GROUPS` is the number of groups.
#[tokio::test]
async fn the_append_function_does_what_its_predecessor_did() {
    let seed = std::env::var("TIDELOG_SEED").map_or_else(|_| rand::random::<u64>(), |seed| seed.parse().unwrap());
    let groups = std::env::var("TIDELOG_SOAK_GROUPS").map_or(600, |groups| groups.parse().unwrap());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (before, now) = (Side::start(BEFORE).await, Side::start("").await);
    let mut world = World::default();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..groups {
        if random.random_ratio(1, 12) {
            let change = world.change(&mut random);
            before.owner.batch_execute(&change).await.unwrap();
            now.owner.batch_execute(&change).await.unwrap();
        }
        let group = world.group(&mut random, &now.owner).await;
        let (expected, found) = (before.append(&group).await, now.append(&group).await);
        assert_eq!(expected, found, "group {number} of seed {seed}: {group:#?}");
        for (status, _) in found {
            *seen.entry(status).or_default() += 1;
        }
    }
    assert_eq!(before.contents().await, now.contents().await, "seed {seed}");
    println!("{seen:?}, {} events", now.contents().await.len());
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), STATUSES, "the groups reach every status");
}
