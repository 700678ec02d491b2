//! What the projector keeps: records, conflicts, verdicts, digests and checkpoints, in two table sets (docs/adr/0018).

pub(crate) mod aliases;
pub(crate) mod checkpoint;
pub(crate) mod conflicts;
pub(crate) mod device_outcomes;
pub(crate) mod digests;
pub(crate) mod generations;
pub(crate) mod history;
pub(crate) mod record_pages;
pub(crate) mod resolve;
pub(crate) mod verdicts;
pub(crate) mod write_step;
