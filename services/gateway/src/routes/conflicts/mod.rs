//! `/conflicts`: list, read and settle conflicts.

pub(super) mod list;
pub(super) mod one;
pub(super) mod resolve;
