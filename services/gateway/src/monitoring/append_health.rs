//! How the latest appends went.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidelog_postgres::{LockExt, StoreError};
use tokio::time::Instant;

/// How long a failed append counts against the health of pushes. If a load balancer keeps pushes away after a failure, this
/// is when it tries again.
const APPEND_FAILURE_AGE_MAX: Duration = Duration::from_secs(30);

/// How the latest appends went.
#[derive(Clone, Default)]
pub(crate) struct AppendHealth(Arc<Mutex<Option<AppendFailure>>>);

struct AppendFailure {
    at: Instant,
    error: String,
}

impl AppendHealth {
    /// Notes the outcome of an append.
    pub(crate) fn note<T>(&self, appended: &Result<T, StoreError>) {
        let mut failure = self.0.lock_unpoisoned();
        match appended {
            Ok(_) => *failure = None,
            Err(error) => *failure = Some(AppendFailure { at: Instant::now(), error: error.to_string() }),
        }
    }

    /// The error of the last append, if it failed and is not long ago.
    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.0.lock_unpoisoned();
        let recent = failure.as_ref().filter(|failure| failure.at.elapsed() < APPEND_FAILURE_AGE_MAX);
        recent.map(|failure| failure.error.clone())
    }
}
