//! The options of every command.

use std::path::PathBuf;

use clap::Args;
use tidelog_core::fold::Resolvers;

/// Options of every command.
#[derive(Args, Clone)]
pub(crate) struct Global {
    /// A Postgres of your own, 15 or newer, as a login that may create schemas and roles; without it one is embedded
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Where the embedded Postgres keeps its data
    #[arg(long, global = true, env = "TIDELOG_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The directory of the Postgres binaries to embed; found by itself otherwise
    #[arg(long, global = true, env = "TIDELOG_PG_BIN", value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How to log: human or json
    #[arg(long, global = true, env = "TIDELOG_LOG_FORMAT", default_value = "human", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What to log, like `info` or `info,tidelog_gateway=debug`
    #[arg(long, global = true, env = "TIDELOG_LOG", default_value = "info,actix_server=warn", value_name = "FILTER")]
    pub(crate) log: String,
    /// The embedding program's `custom` rules.
    #[arg(skip)]
    pub(crate) resolvers: Resolvers,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}
