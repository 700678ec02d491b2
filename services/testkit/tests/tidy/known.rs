//! What breaks a rule and is being mended.

/// Circles of imports, as the files that are in them.
pub(crate) const KNOWN_CIRCLES: &[&[&str]] = &[
    &[
        "services/core/src/fold/apply/delete.rs",
        "services/core/src/fold/apply/mod.rs",
        "services/core/src/fold/apply/put.rs",
        "services/core/src/fold/apply/resolve.rs",
        "services/core/src/fold/folder.rs",
    ],
    &[
        "services/gateway/src/auth.rs",
        "services/gateway/src/gateway.rs",
        "services/gateway/src/push/appender.rs",
        "services/gateway/src/read/as_of.rs",
    ],
    &["services/gateway/src/http/response.rs", "services/gateway/src/pull/page.rs"],
    &["services/projector/src/fold_slice.rs", "services/projector/src/step.rs"],
    &["load-tests/src/git_history/mod.rs", "load-tests/src/verify/mod.rs"],
];

/// Functions that are too long.
pub(crate) const LONG_FUNCTIONS: [&str; 2] = [
    "the_same_fault_has_the_same_code_and_op_in_json_and_messagepack",
    "a_full_push_reads_the_same_from_both_encodings_for_ever",
];

/// Folders that have too many entries, each with its reason.
pub(crate) const CROWDED_FOLDERS: &[(&str, &str)] = &[
    ("load-tests/src/bench", "being split"),
    ("services/gateway/src", "being split"),
    ("services/tidelog/tests/api", "being split"),
];

/// Names in documents that are gone from the code.
pub(crate) const STALE_NAMES: &[&str] = &[
    "Catalog::missing_resolver",
    "access.rs",
    "apply.rs",
    "core/src/fold/decide.rs",
    "core/src/fold/history.rs",
    "core/src/fold/put.rs",
    "core/src/fold/state_view.rs",
    "core/src/fold/stored.rs",
    "core/src/judge.rs",
    "core/src/value.rs",
    "core/src/wire/decode.rs",
    "core/src/wire/event_parts.rs",
    "core/src/wire/push_read.rs",
    "core/tests/fold/ledger.rs",
    "fold/put.rs",
    "gateway/src/access.rs",
    "gateway/src/appender.rs",
    "gateway/src/body.rs",
    "gateway/src/catalog.rs",
    "gateway/src/error.rs",
    "gateway/src/middleware.rs",
    "gateway/src/page.rs",
    "gateway/src/past.rs",
    "gateway/src/pull.rs",
    "gateway/src/push.rs",
    "gateway/src/tail/cell.rs",
    "gateway/src/tail/reader.rs",
    "gateway/src/tail/segment.rs",
    "lane.rs",
    "ledger.rs",
    "pack.rs",
    "postgres/src/credentials.rs",
    "postgres/src/durability.rs",
    "postgres/src/hub.rs",
    "postgres/src/ledger.rs",
    "postgres/src/packed_page.rs",
    "postgres/src/project.rs",
    "postgres/src/rejected.rs",
    "postgres/src/resolve.rs",
    "postgres/src/rows.rs",
    "postgres/src/scan.rs",
    "postgres/src/stretch.rs",
    "postgres/src/system.rs",
    "postgres/src/views.rs",
    "projector/src/rebuild.rs",
    "projector/src/stretch.rs",
    "projector/src/turns.rs",
    "routes/pull.rs",
    "routes/push.rs",
    "routes/stream.rs",
    "services/core/src/fold/put.rs",
    "services/core/src/op.rs",
    "services/core/src/value.rs",
    "services/gateway/src/error.rs",
    "services/gateway/src/push.rs",
    "services/postgres/src/migrate.rs",
    "stretch.rs",
    "tidelog/src/embedded/parent.rs",
    "tidelog/src/embedded/places.rs",
    "tidelog/src/folding.rs",
];
