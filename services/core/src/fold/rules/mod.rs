//! The conflict rules: who wins between two writes, and how the contributions to a merge field are merged.

pub(crate) mod custom;
pub(crate) mod decide;
pub(crate) mod merge;
