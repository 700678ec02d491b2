//! Folds the log into records.
//!
//! [`Projector::step`] folds a slice of one workspace's log and returns; [`Projector::run`] waits and calls it, for each
//! workspace in turn. [`Projector::rebuild`] makes records anew beside the live ones.
//! FOLD-1: records, verdicts and checkpoint move in one transaction, whole batches at a time.

mod fold_slice;
mod metrics;
mod preview;
mod projector;
mod rebuild;
mod run;
mod scheduler;
mod step;
mod touched_records;
mod verify;

pub use metrics::ProjectorMetrics;
pub use preview::{FieldChange, Preview, RecordChange, TablePreview};
pub use projector::Projector;
pub use rebuild::{RebuildError, RebuildProgress, Rebuilt};
pub use step::{Progress, StepError};
pub use verify::{Faults, Verified};
