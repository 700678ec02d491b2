//! The options that every command has.

use std::path::PathBuf;

use clap::Args;
use tidelog_core::fold::Resolvers;
use tracing_subscriber::EnvFilter;

/// The options that every command has, and the resolvers of the embedding program.
#[derive(Args, Clone)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// File with options of this list and of `tidelog serve`, by their names; the command line and variables override it
    #[arg(long, global = true, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// URL of a Postgres 15 or newer, with a login that may create schemas and roles; without it a Postgres is embedded
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Directory in which the embedded Postgres keeps its data
    #[arg(long, global = true, env = "TIDELOG_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Directory of the Postgres programs to embed [default: the newest in the usual places]
    #[arg(long, global = true, env = "TIDELOG_PG_BIN", value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Print JSON instead of tables and sentences
    #[arg(long, global = true, env = "TIDELOG_JSON")]
    pub(crate) json: bool,
    /// Format of the log lines
    #[arg(long, global = true, env = "TIDELOG_LOG_FORMAT", default_value = "human", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Which log lines to write, such as `info` or `info,tidelog_gateway=debug`
    #[arg(long, global = true, env = "TIDELOG_LOG", default_value = "info,actix_server=warn", value_name = "FILTER", value_parser = log_filter)]
    pub(crate) log: String,
    /// Resolvers of the embedding program's `custom` rules.
    #[arg(skip)]
    pub(crate) resolvers: Resolvers,
}

/// The text of a filter, if it is one.
fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}
