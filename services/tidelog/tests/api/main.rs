//! The server end to end: real HTTP, real Postgres, a database a test.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod notices;

mod accounts {
    mod changes;
    mod credentials;
    mod device_events;
    mod registration;
    mod scopes;
    mod tokens;
}
mod analysts {
    mod guide;
    mod views;
}
mod catalog {
    mod changes;
    mod custom_rule;
}
mod conflicts {
    mod changed;
    mod command_line;
    mod kept;
    mod listing;
    mod pages;
    mod resolve;
    mod restored;
    pub(crate) mod world;
}
mod pull {
    mod narrowed;
    mod pages;
    mod shared;
    mod stream;
    mod tail;
}
mod push {
    mod bulk;
    mod details;
    mod outcomes;
    mod rejected;
    mod sequence;
    mod slow_commits;
    mod weight;
}
mod records {
    mod fold_property;
    mod history;
    mod open_conflicts;
    mod replay;
    mod snapshot;
}
mod robustness {
    mod bad_input;
    mod health;
    mod log_under_load;
    mod malformed_ops;
    mod negotiation;
    mod overload;
    mod raw_http;
    mod values;
    mod waits;
}
mod stories {
    mod catalogs;
    mod inspection;
}
mod web {
    mod browser;
    mod cors;
    mod openapi;
}
