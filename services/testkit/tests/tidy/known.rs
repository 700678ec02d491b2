//! What breaks a rule and is being mended.

/// Circles of imports, as the files that are in them.
pub(crate) const KNOWN_CIRCLES: &[&[&str]] = &[];

/// Functions that are too long.
pub(crate) const LONG_FUNCTIONS: [&str; 0] = [];

/// Folders that have too many entries, each with its reason.
pub(crate) const CROWDED_FOLDERS: &[(&str, &str)] = &[];

/// Names in documents that are gone from the code.
pub(crate) const STALE_NAMES: &[&str] = &[];
