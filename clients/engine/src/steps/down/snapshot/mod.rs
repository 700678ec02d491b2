//! Snapshots: a new start beside the records that the app reads meanwhile, and the swap at its end.

pub(super) mod events;
pub(super) mod finish;
pub(super) mod records;
pub(super) mod restart;
