//! `/records/{table}/{record}`: one record, as it is, as it was, and how it became so.

pub(super) mod history;
pub(super) mod one;
