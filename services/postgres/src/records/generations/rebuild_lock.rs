//! The lock that lets one process at a time build and drop generations.

use deadpool_postgres::Object;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The key of the advisory lock: an arbitrary number that all versions of Tidelog share.
const REBUILD_LOCK_KEY: i64 = 0x7469_6465_6c6f_6702;

/// The right to build and drop generations. One process has it at a time, for as long as this value lives.
pub struct RebuildLock(Option<Object>);

impl Store {
    /// Takes the right to build and drop generations. `None`: another process has it.
    pub async fn lock_rebuilds(&self) -> Result<Option<RebuildLock>, StoreError> {
        let client = self.client().await?;
        let sql = include_str!("../../../sql/records/generations/rebuild_lock/lock.sql");
        let row = client.query_one(sql, &[&REBUILD_LOCK_KEY]).await?;
        Ok(row.try_get::<_, bool>(0)?.then(|| RebuildLock(Some(client))))
    }
}

impl RebuildLock {
    /// Gives the right back, and the connection to the pool.
    pub async fn release(mut self) -> Result<(), StoreError> {
        if let Some(client) = self.0.take() {
            let sql = include_str!("../../../sql/records/generations/rebuild_lock/unlock.sql");
            client.query_one(sql, &[&REBUILD_LOCK_KEY]).await?;
        }
        Ok(())
    }
}

impl Drop for RebuildLock {
    /// Closes the connection, with which the lock ends.
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
