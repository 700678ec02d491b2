//! What the projector keeps: records, conflicts, verdicts, digests and checkpoints, in two table sets.

pub(crate) mod checkpoint;
pub(crate) mod conflict_rows;
pub(crate) mod conflicts;
pub(crate) mod digests;
pub(crate) mod generations;
pub(crate) mod history;
pub(crate) mod pages;
pub(crate) mod record_rows;
pub(crate) mod resolve;
pub(crate) mod snapshot;
pub(crate) mod write_step;
