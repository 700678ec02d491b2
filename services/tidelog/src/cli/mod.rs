//! The command line: tables for people, `--json` for programs, one-line errors that name the way out.

mod accounts;
mod catalog;
mod conflict;
mod connect;
mod global;
mod log;
mod output;
mod progress;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tidelog_core::fold::Resolvers;
use tracing_subscriber::EnvFilter;

use crate::cli::accounts::{device, key, workspace};
use crate::cli::global::{Global, LogFormat};
use crate::cli::log::{rebuild, rejected, replay, verify};
use crate::cli::output::Output;
use crate::cli::server::{migrate, serve, status};

/// Event-sourced sync: apps push operations, Postgres keeps one ordered log, records stand folded beside it.
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
    /// Bring the database to this version's schema
    Migrate,
    /// Workspaces: the tenants, each with one log
    #[command(subcommand)]
    Workspace(workspace::Workspace),
    /// Keys and tokens
    #[command(subcommand)]
    Key(key::Key),
    /// Devices of a workspace
    #[command(subcommand)]
    Device(device::Device),
    /// Catalogs: tables, roles and conflict rules
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Rejected ops: what the catalog of their time forbade
    #[command(subcommand)]
    Rejected(rejected::Rejected),
    /// Print whole tables as they are, or were
    Replay(replay::Replay),
    /// Conflicts: every value that lost, and what it lost to
    #[command(subcommand)]
    Conflicts(conflict::Conflicts),
    /// Make the records anew beside the live ones, and swap them
    Rebuild(rebuild::Rebuild),
    /// See whether log, records and conflicts are what they should be
    Verify(verify::Verify),
    /// How far each workspace is
    Status,
    /// Print the OpenAPI document
    Openapi,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    main_with(Resolvers::none())
}

/// Runs the command line of a program that has `custom` rules of its own.
pub fn main_with(resolvers: Resolvers) -> ExitCode {
    let mut cli = Cli::parse();
    cli.global.resolvers = resolvers;
    let output = Output::new(cli.global.json);
    let ran = log_to_stderr(&cli.global).and_then(|()| run(cli, &output));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
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
        }
    })
}

fn log_to_stderr(global: &Global) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&global.log).map_err(|e| anyhow::anyhow!("--log {}: {e}", global.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match global.log_format {
        LogFormat::Human => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|e| anyhow::anyhow!("cannot set up the log: {e}"))
}
