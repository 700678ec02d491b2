//! Errors of the store. This is the one place that interprets Postgres' error codes.

use std::error::Error;

use deadpool_postgres::PoolError;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

/// An error of the store. Expected outcomes are values, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres cannot be reached, is overloaded, or is shutting down: the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Another transaction held a lock for too long, or a statement took too long: the same call may succeed later, and
    /// other calls can succeed now.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// The connection broke during a commit, which may or may not have happened.
    #[error("the outcome of a commit is unknown: {0}")]
    CommitUnknown(String),
    /// A stored value breaks a rule that every writer keeps: it is damaged, or a newer server wrote it.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// Postgres refused a statement. The text is its SQLSTATE and message, which contain no values.
    #[error("database error {0}")]
    Database(String),
}

/// An error of reading a log in several reads.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log was replaced since the reading began, for instance restored from a backup.
    #[error("the log was replaced while it was read")]
    Diverged,
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// A [`StoreError::Corrupt`] that says what is wrong.
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }

    /// The error of opening a connection: names the database's address, unless the database itself has responded.
    pub(crate) fn of_connect(config: &Config, error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(_) => Self::of(error),
            None => Self::Unavailable(connect_text(config, error)),
        }
    }

    /// The error of a commit, or of a statement that commits by itself: if the connection broke, the outcome is
    /// unknown.
    pub(crate) fn of_commit(error: tokio_postgres::Error) -> Self {
        match Self::from(error) {
            Self::Unavailable(what) if what.starts_with(CONNECTION_LOST) => Self::CommitUnknown(what),
            other => other,
        }
    }
}

/// How the text of an [`StoreError::Unavailable`] begins if the connection broke.
const CONNECTION_LOST: &str = "connection lost";

/// Why a connection could not be opened, with the database's address.
pub(crate) fn connect_text(config: &Config, error: &tokio_postgres::Error) -> String {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    format!("cannot connect to {}: {cause}", addresses(config))
}

/// The addresses that a configuration names, without user and password.
fn addresses(config: &Config) -> String {
    let ports = config.get_ports();
    let addresses = config.get_hosts().iter().enumerate().map(|(index, host)| {
        // One port may stand for all hosts.
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(directory) => format!("{}/.s.PGSQL.{port}", directory.display()),
        }
    });
    addresses.collect::<Vec<_>>().join(", ")
}

/// What to do about an error that a schema of another version causes; empty for any other error.
fn schema_advice(code: &SqlState, message: &str) -> &'static str {
    let is_missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    // Postgres' own message for `-c role=tidelog_service`, with which every connection is opened.
    let has_no_role = *code == SqlState::INVALID_PARAMETER_VALUE && message.contains("tidelog_service");
    if is_missing.contains(code) || has_no_role {
        "; run `tidelog migrate`, which creates what this version needs"
    } else {
        ""
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of(&error)
    }
}

impl StoreError {
    fn of(error: &tokio_postgres::Error) -> Self {
        let Some(db_error) = error.as_db_error() else {
            return Self::Unavailable(format!("{CONNECTION_LOST}: {error}"));
        };
        let (code, class) = (db_error.code(), &db_error.code().code()[..2]);
        let advice = schema_advice(code, db_error.message());
        let text = format!("{}: {}{advice}", code.code(), db_error.message());
        let is_lost = class == "08"
            || matches!(
                *code,
                SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            );
        // Overload, shutdown, and losing to another transaction: the same call may succeed later.
        let is_temporary = matches!(class, "53" | "40")
            || code.code().starts_with("57P")
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
        if matches!(*code, SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE) {
            return Self::Locked(text);
        }
        match (is_lost, is_temporary) {
            (true, _) => Self::Unavailable(format!("{CONNECTION_LOST}: {text}")),
            (false, true) => Self::Unavailable(text),
            (false, false) => Self::Database(text),
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
