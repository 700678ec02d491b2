//! The command line: tables for people, `--json` for programs, and errors of one line that name the next step.

mod accounts;
mod catalog;
mod config_file;
mod conflict;
mod connect;
mod global;
mod log;
mod manual;
mod output;
mod progress;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tidelog_core::fold::Resolvers;
use tracing_subscriber::EnvFilter;

use crate::cli::accounts::{device, key, workspace};
use crate::cli::global::{Global, LogFormat};
use crate::cli::log::{rebuild, rejected, replay, verify};
use crate::cli::output::{Output, ReaderGone};
use crate::cli::server::{backup, migrate, serve, status};

/// Event-sourced sync: apps push operations, Postgres keeps them in one ordered log per workspace, and the server folds
/// each log into records.
#[derive(Parser)]
#[command(name = "tidelog", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Migrate the database to this version's schema
    Migrate,
    /// Copy the whole Postgres to a directory, with all that it needs to start, and check the copy
    Backup {
        /// Directory of the backup; it must not exist, or be empty
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Fill the data directory from a backup, after checking it
    Restore {
        /// Directory of the backup
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Create and list workspaces: the tenants, each with a log of its own
    #[command(subcommand)]
    Workspace(workspace::Workspace),
    /// Create, list and revoke enrollment keys and tokens
    #[command(subcommand)]
    Key(key::Key),
    /// List and revoke the devices of a workspace
    #[command(subcommand)]
    Device(device::Device),
    /// Check, apply and compare catalogs: tables, roles and conflict rules
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// List rejected ops, which the catalog of their time forbade, and readmit them
    #[command(subcommand)]
    Rejected(rejected::Rejected),
    /// Print the records of a workspace as they are, or as they were
    Replay(replay::Replay),
    /// List and resolve conflicts: every value that lost, and what it lost to
    #[command(subcommand)]
    Conflicts(conflict::Conflicts),
    /// Rebuild the records from the log, beside the live ones, and swap them
    Rebuild(rebuild::Rebuild),
    /// Check the log, and compare everything stored with what the log folds to
    Verify(verify::Verify),
    /// Show the log's head and the projector's checkpoint of each workspace
    Status,
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Print the script that completes this program's commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for each command
    Man {
        /// Directory for the pages; it is created if it does not exist
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Runs the command line with the arguments of this process.
pub fn main() -> ExitCode {
    main_with(Resolvers::none())
}

/// Runs the command line with the resolvers of a program that has `custom` conflict rules of its own.
pub fn main_with(resolvers: Resolvers) -> ExitCode {
    let parsed = config_file::apply(Cli::command(), std::env::args_os());
    let mut cli = match parsed.map(clap::Command::get_matches).map(|matches| Cli::from_arg_matches(&matches)) {
        Ok(Ok(cli)) => cli,
        Ok(Err(error)) => error.exit(),
        Err(error) => error.exit(),
    };
    cli.global.resolvers = resolvers;
    let output = Output::new(cli.global.json);
    match log_to_stderr(&cli.global).and_then(|()| run(cli, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        // Such as `head`, which has all that it wants.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let global = cli.global;
    runtime.block_on(async move {
        match cli.command {
            Command::Serve(serve) => serve.run(&global, output).await,
            Command::Migrate => migrate::run(&global, output).await,
            Command::Backup { directory } => backup::back_up(&global, directory, output).await,
            Command::Restore { directory } => backup::restore(&global, directory, output).await,
            Command::Workspace(workspace) => workspace.run(&global, output).await,
            Command::Key(key) => key.run(&global, output).await,
            Command::Device(device) => device.run(&global, output).await,
            Command::Catalog(catalog) => catalog.run(&global, output).await,
            Command::Rejected(rejected) => rejected.run(&global, output).await,
            Command::Replay(replay) => replay.run(&global, output).await,
            Command::Conflicts(conflicts) => conflicts.run(&global, output).await,
            Command::Rebuild(rebuild) => rebuild.run(&global, output).await,
            Command::Verify(verify) => verify.run(&global, output).await,
            Command::Status => status::run(&global, output).await,
            Command::Openapi => output.text(&tidelog_gateway::openapi_json()),
            Command::Completions { shell } => output.write(|out| manual::completions(Cli::command(), shell, out)),
            Command::Man { directory } => manual::pages(Cli::command(), &directory),
        }
    })
}

fn log_to_stderr(global: &Global) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&global.log).map_err(|e| anyhow::anyhow!("--log {}: {e}", global.log))?;
    // actix logs bytes of a client that are no HTTP as an error, which anybody on the network could make of it.
    let filter = filter.add_directive("actix_http::h1::dispatcher=off".parse()?);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let initialized = match global.log_format {
        LogFormat::Human => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    initialized.map_err(|e| anyhow::anyhow!("cannot set up logging: {e}"))
}
