//! The Postgres server as a child process: starting it, watching it, stopping it, and finding one that runs already.

pub(crate) mod attach;
pub(crate) mod launch;
pub(crate) mod log;
pub(crate) mod parent;
pub(crate) mod supervisor;
