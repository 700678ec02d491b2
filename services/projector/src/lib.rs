//! Folds the log into records.
//!
//! [`Projector::step`] folds a stretch of one workspace's log and returns; [`Projector::run`] waits and calls it, for each
//! workspace in turn.
//! FOLD-1: records, verdicts and checkpoint move in one transaction, whole batches at a time.

mod catalogs;
mod lane;
mod metrics;
mod queue;
mod run;
mod step;
mod stretch;
mod turns;

pub use metrics::ProjectorMetrics;
pub use run::Projector;
pub use step::{Progress, StepError};
