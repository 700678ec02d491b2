//! Folds the log into records.
//!
//! [`Projector::step`] folds a stretch of one workspace's log and returns; [`Projector::run`] waits and calls it, for each
//! workspace in turn. [`Projector::rebuild`] makes records anew beside the live ones.
//! FOLD-1: records, verdicts and checkpoint move in one transaction, whole batches at a time.

mod catalogs;
mod lane;
mod metrics;
mod preview;
mod queue;
mod rebuild;
mod replay;
mod run;
mod seen;
mod step;
mod stretch;
mod turns;
mod verify;

pub use metrics::ProjectorMetrics;
pub use preview::{FieldChange, Preview, RecordChange, TablePreview};
pub use rebuild::{RebuildError, RebuildProgress, Rebuilt};
pub use run::Projector;
pub use step::{Progress, StepError};
pub use verify::{Faults, Verified};
