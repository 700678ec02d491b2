//! Folds the log into records.
//!
//! [`Projector::step`] folds one slice of a workspace's log and returns. [`Projector::run`] is the loop around it: it waits
//! for wake-up hints, polls as a fallback, and gives each workspace a turn of one step. [`Projector::rebuild`] builds a new
//! generation of records beside the live one and swaps the two. [`Projector::verify`] and [`Projector::preview`] only read:
//! they compare what is stored with a fold of the whole log, and the fold under today's rules with that under a new catalog.
//!
//! FOLD-1: records, verdicts and checkpoint move in one transaction, whole batches at a time.

mod error;
mod metrics;
mod preview;
mod projector;
mod rebuild;
mod run;
mod scheduler;
mod step;
mod verify;

pub use error::{RebuildError, StepError};
pub use metrics::ProjectorMetrics;
pub use preview::{FieldChange, NowThen, Preview, RecordChange, TablePreview};
pub use projector::Projector;
pub use rebuild::progress::RebuildProgress;
pub use rebuild::workspace::RebuiltWorkspace;
pub use step::Progress;
pub use verify::report::{Faults, VerifyReport};
