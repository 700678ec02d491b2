//! Opening and committing transactions.

use deadpool_postgres::{Object, Transaction};

use tokio_postgres::IsolationLevel;

use crate::db::error::StoreError;

/// Opens a transaction. If it is dropped without [`commit`], it is rolled back before the connection is used again.
pub(crate) async fn begin(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that opens a transaction")]
    Ok(client.transaction().await?)
}

/// Opens a read-only transaction that sees the database as it is at the transaction's first statement.
pub(crate) async fn begin_snapshot(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(builder.start().await?)
}

/// Commits. If the connection breaks meanwhile, the outcome is unknown: [`StoreError::CommitUnknown`].
pub(crate) async fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(StoreError::of_commit)
}
