//! The Postgres server as a child process: creating its cluster, starting, watching and stopping it, and finding one that
//! runs already.

pub(crate) mod attach;
pub(crate) mod initdb;
pub(crate) mod launch;
pub(crate) mod log;
pub(crate) mod parent;
pub(crate) mod supervisor;

use std::time::Duration;

/// How often to look, where there is nothing to wait on.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
