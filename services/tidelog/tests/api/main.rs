//! The server end to end: real HTTP, real Postgres, a database a test.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod accounts;
mod analysts_guide;
mod bad_input;
mod catalog_changes;
mod conflicts;
mod conflicts_cli;
mod conflicts_kept;
mod conflicts_pages;
mod custom_rule;
mod fold_property;
mod history;
mod inspection;
mod log_under_load;
mod notices;
mod pull;
mod push;
mod records;
mod rejected;
mod replay;
mod scopes;
mod sql;
mod stories;
mod stream;
mod tail;
mod values;
