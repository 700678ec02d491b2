//! The catalogs of the model.

use tidelog_core::catalog::Catalog;

const FIRST: &str = r#"
roles = ["manager", "staff"]

[tables.notes]

[tables.tasks]
rule = "manual"
on_delete = "update_wins"

[tables.counters]
granularity = "field"
[tables.counters.fields]
count = { type = "integer", merge = "sum" }
tags = { type = "array", merge = "union" }

[tables.forms]
rule = "first_write_wins"
write = ["manager"]
"#;

const HIDES_TASKS: &str = r#"
roles = ["manager", "staff"]

[tables.notes]

[tables.tasks]
rule = "manual"
on_delete = "update_wins"
read = ["manager"]

[tables.counters]
[tables.counters.fields]
count = { type = "integer", merge = "sum" }
tags = { type = "array", merge = "union" }

[tables.forms]
rule = "first_write_wins"
"#;

const OTHER_RULES: &str = r#"
roles = ["manager", "staff"]

[tables.notes]
rule = "role_priority"

[tables.tasks]
rule = "first_write_wins"
on_delete = "manual"

[tables.counters]
on_delete = "rule"
[tables.counters.fields]
count = { type = "integer", merge = "sum" }
tags = { type = "array", merge = "union" }

[tables.forms]
granularity = "record"
rule = "manual"
"#;

/// The catalog at the start.
pub(crate) fn first() -> Catalog {
    parsed(FIRST)
}

/// One of the catalogs.
pub(crate) fn numbered(number: usize) -> Catalog {
    parsed([FIRST, HIDES_TASKS, OTHER_RULES][number % 3])
}

fn parsed(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_else(|error| panic!("a catalog of the simulation: {error}"))
}
