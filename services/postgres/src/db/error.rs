//! What can go wrong with the store, and the one place that reads Postgres' codes.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// An error of the store. Expected outcomes are values, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres cannot be reached, is overloaded, or is shutting down: the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// What it needs is held by somebody else for too long: the same call may succeed later, and others can now.
    #[error("the database is held up: {0}")]
    Locked(String),
    /// The connection broke while a transaction was being committed: it may or may not have happened.
    #[error("whether the transaction was committed is not known: {0}")]
    CommitUnknown(String),
    /// A stored value breaks a rule that every writer keeps: damage, or a newer server's data.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// Postgres refused a statement: its SQLSTATE and message, which name no values.
    #[error("database error {0}")]
    Database(String),
}

/// What can go wrong with reading a log further.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log is another one than when its reading began: it was restored from a backup meanwhile.
    #[error("the log was replaced while it was read")]
    Diverged,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }

    /// The error of a statement that commits by itself: a broken connection leaves its outcome open.
    pub(crate) fn of_commit(error: tokio_postgres::Error) -> Self {
        match Self::from(error) {
            Self::Unavailable(what) if what.starts_with(LOST) => Self::CommitUnknown(what),
            other => other,
        }
    }
}

const LOST: &str = "connection lost";

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Unavailable(format!("{LOST}: {error}"));
        };
        let (code, class) = (said.code(), &said.code().code()[..2]);
        let told = format!("{}: {}", code.code(), said.message());
        let is_lost = class == "08"
            || matches!(
                *code,
                SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            );
        // Overload, shutdown, and what lost to another transaction: all of it passes.
        let is_passing = matches!(class, "53" | "40")
            || code.code().starts_with("57P")
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
        if matches!(*code, SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE) {
            return Self::Locked(told);
        }
        match (is_lost, is_passing) {
            (true, _) => Self::Unavailable(format!("{LOST}: {told}")),
            (false, true) => Self::Unavailable(told),
            (false, false) => Self::Database(told),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::Unavailable(error.to_string()),
        }
    }
}
