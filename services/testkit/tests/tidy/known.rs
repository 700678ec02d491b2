//! What breaks a rule and is being mended.

/// Circles of imports, as the files that are in them.
pub(crate) const KNOWN_CIRCLES: &[&[&str]] = &[
    &[
        "services/gateway/src/auth.rs",
        "services/gateway/src/gateway.rs",
        "services/gateway/src/push/appender.rs",
        "services/gateway/src/read/as_of.rs",
    ],
    &["services/gateway/src/http/response.rs", "services/gateway/src/pull/page.rs"],
];

/// Functions that are too long.
pub(crate) const LONG_FUNCTIONS: [&str; 2] = [
    "the_same_fault_has_the_same_code_and_op_in_json_and_messagepack",
    "a_full_push_reads_the_same_from_both_encodings_for_ever",
];

/// Folders that have too many entries, each with its reason.
pub(crate) const CROWDED_FOLDERS: &[(&str, &str)] = &[("services/gateway/src", "being split")];

/// Names in documents that are gone from the code.
pub(crate) const STALE_NAMES: &[&str] =
    &["Catalog::missing_resolver", "access.rs", "pack.rs", "routes/pull.rs", "routes/push.rs", "routes/stream.rs"];
