//! `/records/{table}/{record}`: one record as it is or was, and its history.

pub(super) mod history;
pub(super) mod one;
