//! Migrations: they bring a database to the schema that this version needs. They only go forward, each in a transaction
//! of its own, and one process at a time runs them.

use std::str::FromStr;

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Config, NoTls};

use crate::db::error::connect_text;

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration { version: $version, name: $name, sql: include_str!(concat!("../../../../schema/migrations/", $name, ".sql")) }),*]
    };
}

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_log_and_records",
    2 "0002_ledger_and_generations",
    3 "0003_reading_by_sql",
    4 "0004_fewer_index_entries",
    5 "0005_append_in_two_functions",
    6 "0006_device_changes",
    7 "0007_devices_in_the_log",
    8 "0008_outcomes_in_bulk",
];

/// The key of the advisory lock under which migrations run: an arbitrary number that all versions of Tidelog share.
const MIGRATE_LOCK_KEY: i64 = 0x7469_6465_6c6f_6701;

/// The result of migrating a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateOutcome {
    /// The names of the migrations that were applied.
    pub applied: Vec<&'static str>,
    /// The version of the schema afterwards.
    pub version: i32,
}

/// Why a database could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error("the database is unavailable: {0}")]
    Connect(String),
    /// A statement failed, and its migration was rolled back.
    #[error("migration {name} failed and was rolled back: {message}")]
    Failed {
        /// The name of the migration.
        name: &'static str,
        /// The message of Postgres.
        message: String,
    },
    /// A newer Tidelog has migrated the database.
    #[error("the database has schema version {found}, this Tidelog knows {known}: run the newer Tidelog")]
    Newer {
        /// The version of its schema.
        found: i32,
        /// The newest version that this build knows.
        known: i32,
    },
    /// A migration was applied whose text differs from this build's; its name.
    #[error("migration {0} was applied from other text than this build has: it must never be edited")]
    Edited(&'static str),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Connect(message_of(&error))
    }
}

/// Applies the migrations that a database lacks. The login of `url` needs the right to create schemas and roles.
pub async fn migrate(url: &str) -> Result<MigrateOutcome, MigrateError> {
    let config = Config::from_str(url).map_err(|e| MigrateError::Connect(e.to_string()))?;
    let (client, connection) =
        config.connect(NoTls).await.map_err(|e| MigrateError::Connect(connect_text(&config, &e)))?;
    let driver = tokio::spawn(connection);
    let outcome = migrate_with(&client).await;
    drop(client);
    let _ = driver.await;
    outcome
}

async fn migrate_with(client: &Client) -> Result<MigrateOutcome, MigrateError> {
    // One connection does all of the work here, so the lock can be of its session.
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATE_LOCK_KEY]).await?;
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS tidelog;
            CREATE TABLE IF NOT EXISTS tidelog.migrations (
                version integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let rows = client.query("SELECT version, sha256 FROM tidelog.migrations ORDER BY version", &[]).await?;
    let stored: Vec<(i32, Vec<u8>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if let Some((found, _)) = stored.iter().find(|(version, _)| *version > known) {
        return Err(MigrateError::Newer { found: *found, known });
    }
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        let sha256 = Sha256::digest(migration.sql).to_vec();
        match stored.iter().find(|(version, _)| *version == migration.version) {
            Some((_, stored)) if *stored == sha256 => {}
            Some(_) => return Err(MigrateError::Edited(migration.name)),
            None => {
                apply(client, migration, &sha256).await?;
                applied.push(migration.name);
            }
        }
    }
    Ok(MigrateOutcome { applied, version: known })
}

async fn apply(client: &Client, migration: &Migration, sha256: &[u8]) -> Result<(), MigrateError> {
    let record = format!(
        "INSERT INTO tidelog.migrations (version, name, sha256) VALUES ({}, '{}', '\\x{}')",
        migration.version,
        migration.name,
        sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    // A simple query of several statements is one transaction: all of it or nothing.
    let script = format!("BEGIN;\n{}\n;{record};\nCOMMIT", migration.sql);
    let done = client.batch_execute(&script).await;
    if let Err(error) = done {
        let _ = client.batch_execute("ROLLBACK").await;
        return Err(MigrateError::Failed { name: migration.name, message: message_of(&error) });
    }
    Ok(())
}

/// The message of Postgres, on one line.
fn message_of(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}
