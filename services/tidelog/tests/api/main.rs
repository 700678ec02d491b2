//! The server end to end: real HTTP, real Postgres, a database a test.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod notices;

mod accounts {
    mod credentials;
    mod scopes;
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
    mod command_line;
    mod kept;
    mod listing;
    mod pages;
    mod resolve;
    mod restored;
    mod world;
}
mod pull {
    mod pages;
    mod shared;
    mod stream;
    mod tail;
}
mod push {
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
    mod replay;
    mod snapshot;
}
mod robustness {
    mod bad_input;
    mod log_under_load;
    mod malformed_ops;
    mod overload;
    mod values;
}
mod stories {
    mod catalogs;
    mod inspection;
}
