//! Rules that the schema keeps.

#![expect(clippy::unwrap_used, reason = "tests")]

use tidelog_postgres::{Durability, DurabilityError, MigrateError, migrate};
use tidelog_testkit::TestDatabase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const CURRENT: &str = include_str!("../../../schema/current.sql");

/// Everything that makes a schema, one fact per row, except the table of the migrations.
const DESCRIBE: &str = "
SELECT format('column %s.%s %s %s default %s comment %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)) AS fact
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace IN ('tidelog'::regnamespace, 'log'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'c')
    AND c.relname <> 'migrations'
UNION ALL
SELECT format('view %s.%s %s', schemaname, viewname, definition) FROM pg_views WHERE schemaname IN ('tidelog', 'log', 'tables')
UNION ALL
SELECT format('relation %s %s options %s acl %s comment %s order %s', c.relkind, c.relname, c.reloptions, c.relacl, obj_description(c.oid),
    (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0))
FROM pg_class c WHERE c.relnamespace IN ('tidelog'::regnamespace, 'log'::regnamespace) AND c.relname NOT LIKE 'migrations%'
UNION ALL
SELECT format('type %s acl %s comment %s', typname, typacl, obj_description(oid, 'pg_type'))
FROM pg_type WHERE typnamespace IN ('tidelog'::regnamespace, 'log'::regnamespace) AND typname !~ 'migrations'
UNION ALL
SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'tidelog'::regnamespace AND conname NOT LIKE 'migrations%'
UNION ALL
SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'tidelog' AND tablename <> 'migrations'
UNION ALL
SELECT format('function %s acl %s comment %s', pg_get_functiondef(oid), proacl, obj_description(oid)) FROM pg_proc WHERE pronamespace IN ('tidelog'::regnamespace, 'log'::regnamespace)
UNION ALL
SELECT format('schema %s acl %s comment %s', nspname, nspacl, obj_description(oid)) FROM pg_namespace WHERE nspname IN ('tidelog', 'log', 'tables')
ORDER BY fact";

async fn strings(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn current_sql_is_the_sum_of_the_migrations() {
    let migrated = TestDatabase::create().await.connect().await;
    let current = TestDatabase::create_empty().await.connect().await;
    current.batch_execute(CURRENT).await.unwrap();
    let (migrated, current) = (strings(&migrated, DESCRIBE).await, strings(&current, DESCRIBE).await);
    assert!(migrated.len() > 80, "the description describes something");
    for (migrated, current) in migrated.iter().zip(&current) {
        assert_eq!(migrated, current);
    }
    assert_eq!(migrated.len(), current.len());
}

#[tokio::test]
async fn migrating_twice_does_nothing_and_a_newer_database_is_refused() {
    let database = TestDatabase::create_empty().await;
    let first = migrate(database.url()).await.unwrap();
    assert!(!first.applied.is_empty());
    assert!(migrate(database.url()).await.unwrap().applied.is_empty());
    let client = database.connect().await;
    client.batch_execute("UPDATE tidelog.migrations SET sha256 = 'x' WHERE version = 1").await.unwrap();
    assert!(matches!(migrate(database.url()).await, Err(MigrateError::Edited(_))));
    client.batch_execute("INSERT INTO tidelog.migrations VALUES (999, 'later', 'x')").await.unwrap();
    assert!(matches!(migrate(database.url()).await, Err(MigrateError::Newer { found: 999, .. })));
}

#[tokio::test]
async fn eight_processes_that_migrate_at_once_apply_each_migration_once() {
    let database = TestDatabase::create_empty().await;
    let runs = futures_util::future::join_all((0..8).map(|_| migrate(database.url()))).await;
    let applied: usize = runs.into_iter().map(|run| run.unwrap().applied.len()).sum();
    assert_eq!(applied, strings(&database.connect().await, "SELECT name FROM tidelog.migrations").await.len());
}

#[tokio::test]
async fn the_service_may_only_select_and_insert_on_the_log() {
    let client = TestDatabase::create().await.connect().await;
    let granted = "SELECT privilege_type::text FROM information_schema.role_table_grants
        WHERE grantee = 'tidelog_service' AND table_schema = 'tidelog' AND table_name = 'log' ORDER BY 1";
    assert_eq!(strings(&client, granted).await, ["INSERT", "SELECT"]);
    client.batch_execute("SET ROLE tidelog_service").await.unwrap();
    for refused in [
        "UPDATE tidelog.log SET position = 1",
        "DELETE FROM tidelog.log",
        "TRUNCATE tidelog.log",
        "ALTER TABLE tidelog.log ADD COLUMN x int",
        "DROP TABLE tidelog.log",
        "DELETE FROM tidelog.heads",
        "DELETE FROM tidelog.devices",
        "UPDATE tidelog.catalogs SET version = 7",
        "CREATE TABLE tidelog.x (y int)",
        "INSERT INTO tidelog.migrations VALUES (2, 'x', 'x')",
    ] {
        let error = client.batch_execute(refused).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}: {error}");
    }
}

#[tokio::test]
async fn every_key_starts_with_the_workspace() {
    let client = TestDatabase::create().await.connect().await;
    let others = "SELECT c.relname || ' ' || i.relname FROM pg_index x
        JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
        WHERE c.relnamespace = 'tidelog'::regnamespace AND a.attname <> 'workspace' ORDER BY 1";
    let server_wide = ["admin_tokens admin_tokens_pkey", "catalogs catalogs_pkey", "migrations migrations_pkey"];
    assert_eq!(strings(&client, others).await, server_wide);
    let keyless =
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'tidelog'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')";
    assert!(strings(&client, keyless).await.is_empty());
}

#[tokio::test]
async fn the_schema_has_nothing_that_citus_forbids() {
    let client = TestDatabase::create().await.connect().await;
    for (what, sql) in [
        ("triggers", "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal"),
        ("sequences", "SELECT relname::text FROM pg_class WHERE relkind = 'S'"),
        ("extensions", "SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql'"),
        ("rules", "SELECT rulename::text FROM pg_rules WHERE schemaname = 'tidelog'"),
    ] {
        assert_eq!(strings(&client, sql).await, Vec::<String>::new(), "{what}");
    }
    let volatile = ["random(", "clock_timestamp(", "now(", "advisory", "nextval", "SET LOCAL", "CURRENT_TIMESTAMP"];
    let code = CURRENT.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<String>();
    for word in volatile {
        assert!(!code.contains(word), "{word} in the schema");
    }
}

#[test]
fn a_database_that_loses_acknowledged_edits_is_refused_unless_allowed_by_name() {
    let good = Durability {
        fsync: "on".to_owned(),
        synchronous_commit: "on".to_owned(),
        server_version: 150_000,
        encoding: "UTF8".to_owned(),
    };
    assert_eq!(good.check(false), Ok(()));
    let no_fsync = Durability { fsync: "off".to_owned(), ..good.clone() };
    let no_commit = Durability { synchronous_commit: "off".to_owned(), ..good.clone() };
    for (unsafe_one, setting) in [(no_fsync, "fsync"), (no_commit, "synchronous_commit")] {
        assert_eq!(unsafe_one.check(false), Err(DurabilityError::Unsafe { setting }));
        assert_eq!(unsafe_one.check(true), Ok(()));
    }
    let local = Durability { synchronous_commit: "local".to_owned(), ..good.clone() };
    assert_eq!(local.check(false), Ok(()), "durable on this server, whether or not on standbys");
    assert!(Durability { server_version: 140_011, ..good.clone() }.check(true).is_err());
    assert!(Durability { encoding: "LATIN1".to_owned(), ..good }.check(true).is_err());
}
