//! The settings that Postgres needs for an acknowledged event to survive a crash (LOG-2).

use std::str::FromStr;

use tokio_postgres::{Config, NoTls};

use crate::db::error::StoreError;

/// The settings of a database that decide whether acknowledged events survive a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// The setting `fsync`.
    pub fsync: String,
    /// The setting `synchronous_commit`.
    pub synchronous_commit: String,
    /// The setting `server_version_num`.
    pub server_version: i32,
    /// The setting `server_encoding`.
    pub encoding: String,
}

/// Why a database is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurabilityError {
    /// A crash would lose acknowledged events.
    #[error(
        "Postgres runs with {setting}=off, so a crash loses acknowledged edits: turn it on, or pass --allow-unsafe-durability"
    )]
    Unsafe {
        /// The setting that is off.
        setting: &'static str,
    },
    /// The server is too old; its major version.
    #[error("Postgres {0} is older than 15: point --database-url at a newer one")]
    TooOld(i32),
    /// The database cannot store every text; its encoding.
    #[error("the database has encoding {0}, and texts need UTF8: create it with ENCODING 'UTF8'")]
    Encoding(String),
}

impl Durability {
    /// Reads the settings of the database at `url`. Writes nothing.
    pub async fn of(url: &str) -> Result<Self, StoreError> {
        let config = Config::from_str(url).map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let (client, connection) = config.connect(NoTls).await.map_err(|e| StoreError::of_connect(&config, &e))?;
        let driver = tokio::spawn(connection);
        let row = client.query_one(include_str!("../../sql/db/durability/durability.sql"), &[]).await?;
        drop(client);
        // The settings are read, so how the connection ends does not matter.
        let _ = driver.await;
        Ok(Self {
            fsync: row.try_get("fsync")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            server_version: row.try_get("server_version")?,
            encoding: row.try_get("encoding")?,
        })
    }

    /// Refuses settings that would lose acknowledged events, unless `allow_unsafe` says that this is wanted.
    pub fn check(&self, allow_unsafe: bool) -> Result<(), DurabilityError> {
        if self.server_version < 150_000 {
            return Err(DurabilityError::TooOld(self.server_version / 10_000));
        }
        if self.encoding != "UTF8" {
            return Err(DurabilityError::Encoding(self.encoding.clone()));
        }
        for (setting, value) in [("fsync", &self.fsync), ("synchronous_commit", &self.synchronous_commit)] {
            if value == "off" && !allow_unsafe {
                return Err(DurabilityError::Unsafe { setting });
            }
        }
        Ok(())
    }
}
