//! Deleting the rows of generations that are not live.

use std::time::Duration;

use tidelog_core::ids::WorkspaceId;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::records::checkpoint::TableSet;
use crate::records::generations::Generation;

/// Rows that one statement deletes.
const DELETE_ROWS_MAX: i64 = 5_000;
/// How often to try to truncate tables that others have locked.
const TRUNCATE_ATTEMPTS_MAX: usize = 10;
/// How long to wait between two attempts, so that the others can go on.
const TRUNCATE_RETRY_DELAY: Duration = Duration::from_millis(300);

impl Store {
    /// Deletes the rows of a workspace in a table set, some at a time. Nothing else may use them meanwhile.
    pub async fn clear_set(&self, workspace: WorkspaceId, table_set: TableSet) -> Result<(), StoreError> {
        for sql in [
            include_str!("../../../sql/records/generations/clear/clear_records.sql"),
            include_str!("../../../sql/records/generations/clear/clear_history.sql"),
            include_str!("../../../sql/records/generations/clear/clear_verdicts.sql"),
            include_str!("../../../sql/records/generations/clear/clear_conflicts.sql"),
            include_str!("../../../sql/records/generations/clear/clear_digests.sql"),
        ] {
            while self.execute(sql, &[&workspace.0, &table_set.0, &DELETE_ROWS_MAX]).await? > 0 {}
        }
        Ok(())
    }

    /// Drops generations that are not live: first their checkpoints, then their rows. The tables of a set in which no
    /// workspace has a checkpoint any more are truncated, which also removes what an interrupted rebuild has left
    /// there; otherwise the rows are deleted.
    pub async fn drop_generations(&self, dropped: &[Generation]) -> Result<(), StoreError> {
        for one in dropped {
            let (set, generation) = (&one.checkpoint.table_set.0, &one.checkpoint.generation);
            let sql = include_str!("../../../sql/records/generations/clear/delete_checkpoint.sql");
            self.execute(sql, &[&one.workspace.0, set, generation]).await?;
        }
        for set in [TableSet(0), TableSet(1)] {
            if self.truncate_set(set).await? {
                continue;
            }
            for one in dropped.iter().filter(|one| one.checkpoint.table_set == set) {
                self.clear_set(one.workspace, set).await?;
            }
        }
        Ok(())
    }

    /// Truncates the tables of a set if no workspace has a checkpoint there. Returns whether it did. Every reader locks
    /// the tables for a moment, those of the other set too; if somebody holds them for longer, they are left as they
    /// are.
    async fn truncate_set(&self, set: TableSet) -> Result<bool, StoreError> {
        for _ in 0..TRUNCATE_ATTEMPTS_MAX {
            match self.try_truncate_set(set).await {
                Err(StoreError::Locked(_) | StoreError::Unavailable(_)) => {
                    tokio::time::sleep(TRUNCATE_RETRY_DELAY).await;
                }
                done => return done,
            }
        }
        Ok(false)
    }

    async fn try_truncate_set(&self, set: TableSet) -> Result<bool, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let limit_lock_wait = include_str!("../../../sql/records/generations/clear/limit_lock_wait.sql");
        transaction.query_one(limit_lock_wait, &[]).await?;
        let sql = include_str!("../../../sql/records/generations/clear/is_used.sql");
        let is_used = async || Ok::<bool, StoreError>(transaction.query_one(sql, &[&set.0]).await?.try_get(0)?);
        if is_used().await? {
            return Ok(false);
        }
        transaction.execute(truncate_of(set), &[]).await?;
        // Checked again now that the tables are locked: a workspace may have started a generation in the set meanwhile,
        // which has no rows yet.
        if is_used().await? {
            return Ok(false);
        }
        commit(transaction).await?;
        Ok(true)
    }
}

fn truncate_of(set: TableSet) -> &'static str {
    match set {
        TableSet(0) => include_str!("../../../sql/records/generations/clear/truncate_0.sql"),
        TableSet(_) => include_str!("../../../sql/records/generations/clear/truncate_1.sql"),
    }
}
