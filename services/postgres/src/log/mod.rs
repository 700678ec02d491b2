//! The log: appending to it, looking events up, and reading it in rows, slices and pages.

pub(crate) mod append;
pub(crate) mod continued_scan;
pub(crate) mod event_row;
pub(crate) mod filter;
pub(crate) mod head;
pub(crate) mod lookup;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod rejected;
pub(crate) mod scan;
pub(crate) mod slice;
