//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use tidelog_core::wire::Encoding;

use crate::bench::BenchArgs;

/// Workloads for a Tidelog server.
///
/// Exits with 0 if the state on the server is what it should be, with 1 if it is not, and with 2 if the workload could not
/// be run to its end. A benchmark that ran to its end exits with 0, whatever it measured.
#[derive(Debug, Parser)]
#[command(name = "tidelog-load", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) workload: Workload,
}

/// The workload to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Workload {
    /// Replay the history of a git repository against a server, and compare the result with git's own tree.
    GitHistory(GitHistoryArgs),
    /// Start a server in a temporary directory, and replay the history of a git repository against it.
    Demo(DemoArgs),
    /// Measure a server beside the Postgres under it. Both are started for this; nothing else should run meanwhile.
    Bench(BenchArgs),
}

/// `git-history`.
#[derive(Debug, clap::Args)]
pub(crate) struct GitHistoryArgs {
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    /// The URL of the server, `http://host:port`.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// An enrollment key (`tlk_...`) of a new workspace, created with `--no-rate-limit`.
    #[arg(long, env = "TIDELOG_KEY", hide_env_values = true)]
    pub(crate) key: String,
}

/// `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    /// The server's program [default: the `tidelog` beside this program].
    #[arg(long, value_name = "BIN")]
    pub(crate) tidelog: Option<PathBuf>,
    /// Further arguments for `tidelog serve`.
    #[arg(last = true)]
    pub(crate) serve_args: Vec<String>,
}

/// The options of `git-history` and `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// The git repository. Its first-parent history up to HEAD is replayed, oldest commit first.
    pub(crate) path: PathBuf,
    /// Replay only the oldest N commits, and compare with the tree of the last one.
    #[arg(long, value_name = "N")]
    pub(crate) max_commits: Option<NonZeroUsize>,
    /// The encoding of requests and responses.
    #[arg(long, value_enum, default_value_t = EncodingArg::Msgpack)]
    pub(crate) encoding: EncodingArg,
}

/// The encoding of requests and responses.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EncodingArg {
    /// `application/msgpack`
    Msgpack,
    /// `application/json`
    Json,
}

impl From<EncodingArg> for Encoding {
    fn from(arg: EncodingArg) -> Self {
        match arg {
            EncodingArg::Msgpack => Self::MessagePack,
            EncodingArg::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
