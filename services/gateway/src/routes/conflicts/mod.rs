//! `/conflicts`: the values that lost, and settling those that a person must choose between.

pub(super) mod list;
pub(super) mod one;
pub(super) mod resolve;
