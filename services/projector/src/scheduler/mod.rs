//! Decides which workspace is folded next: a fair queue, shared by workers that each fold one workspace at a time.

pub(crate) mod queue;
pub(crate) mod shared;
pub(crate) mod worker;
