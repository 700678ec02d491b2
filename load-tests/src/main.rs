//! `tidelog-load`: workloads for a Tidelog server.
//!
//! `git-history` replays the history of a git repository as a sync workload. Its correct result is known beforehand: git's
//! own tree of the last commit. `demo` does the same against a server that it starts itself. `bench` measures a server
//! beside the Postgres under it.

mod args;
mod bench;
mod client;
mod demo;
mod file;
mod git;
mod git_history;
mod outcome;
mod output;
mod server;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Workload};
use outcome::Outcome;

/// The exit code if the state on the server is not what it should be.
const EXIT_DIFFERENT: u8 = 1;
/// The exit code if the workload could not be run to its end.
const EXIT_FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Args::parse().workload {
        Workload::GitHistory(args) => git_history::run(&args.history, &args.server, &args.key).await.map(exit_code),
        Workload::Demo(args) => demo::run(&args).await.map(exit_code),
        Workload::Bench(args) => bench::run(&args).await.map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::from(EXIT_FAILED)
    })
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Identical => ExitCode::SUCCESS,
        Outcome::Different => ExitCode::from(EXIT_DIFFERENT),
    }
}
