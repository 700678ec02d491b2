//! The one way to open a transaction, and to end it.

use deadpool_postgres::{Object, Transaction};

use crate::error::StoreError;

/// Opens a transaction: dropped without [`commit`], it is rolled back before the connection is used again.
pub(crate) async fn begin(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that opens a transaction")]
    Ok(client.transaction().await?)
}

/// Commits. A connection that breaks here leaves the outcome open, which is an error of its own.
pub(crate) async fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(StoreError::of_commit)
}
