//! The conflict rules: who wins between two writes, and how contributions are merged.

pub(crate) mod custom;
pub(crate) mod decide;
pub(crate) mod merge;
