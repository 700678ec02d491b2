//! Workloads against a running Tidelog server.
//!
//! `git-history` makes a git repository's history a sync workload whose right answer is known beforehand: git's own
//! tree of the last commit. `demo` does the same against a server that it starts for itself. `bench` measures a server of
//! its own beside the Postgres under it.

mod args;
mod bench;
mod client;
mod demo;
mod file;
mod git;
mod git_history;
mod output;
mod server;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Workload};
use git_history::Outcome;

/// The state on the server is not what it should be.
const EXIT_DIFFERENT: u8 = 1;
/// The workload could not be run to its end.
const EXIT_FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Args::parse().workload {
        Workload::GitHistory(args) => git_history::run(&args.history, &args.server, &args.key).await.map(code_of),
        Workload::Demo(args) => demo::run(&args).await.map(code_of),
        Workload::Bench(args) => bench::run(&args).await.map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        output::complain(&error);
        ExitCode::from(EXIT_FAILED)
    })
}

fn code_of(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Identical => ExitCode::SUCCESS,
        Outcome::Different => ExitCode::from(EXIT_DIFFERENT),
    }
}
