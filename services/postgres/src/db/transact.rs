//! The one way to open a transaction, and to end it.

use deadpool_postgres::{Object, Transaction};

use tokio_postgres::IsolationLevel;

use crate::db::error::StoreError;

/// Opens a transaction: dropped without [`commit`], it is rolled back before the connection is used again.
pub(crate) async fn begin(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that opens a transaction")]
    Ok(client.transaction().await?)
}

/// Opens a transaction that reads everything as it stood at its first statement, and writes nothing.
pub(crate) async fn begin_snapshot(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(builder.start().await?)
}

/// Commits. A connection that breaks here leaves the outcome open, which is an error of its own.
pub(crate) async fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(StoreError::of_commit)
}
