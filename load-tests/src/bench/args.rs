//! The command line of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::{Plan, Scenario, Window};

/// `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Take a first look within a minute: one short round of the main scenarios.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure a log of 10,000,000 events instead; it takes minutes to fill and needs 10 GB of disk.
    #[arg(long, conflicts_with = "scenarios")]
    pub(crate) growth: bool,
    /// Measure only these scenarios, separated by commas.
    #[arg(long, alias = "rows", value_name = "NAMES", value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// How often to measure the server and each baseline, in turns [default: 3, with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// How many seconds each measurement takes [default: 4, with --quick 1].
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// The directory to write `bench.json` and `bench.svg` to.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The server's program [default: the `tidelog` beside this program].
    #[arg(long, value_name = "BIN")]
    pub(crate) tidelog: Option<PathBuf>,
    /// The directory of the Postgres programs [default: it is searched for].
    #[arg(long, env = "TIDELOG_PG_BIN", value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// The server's `--append-workers`, and the connections of the COPY baseline of push [default: half the cores].
    #[arg(long, alias = "append-lanes", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    append_workers: Option<u16>,
}

impl BenchArgs {
    /// Append workers of the server. The default is the server's own: one for two cores.
    pub(crate) fn append_workers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.append_workers.map_or((cores / 2).max(1), usize::from)
    }

    /// What these options ask for, with defaults filled in.
    pub(crate) fn plan(&self) -> Plan {
        let mut scenarios = self.scenarios.clone();
        if scenarios.is_empty() {
            scenarios = Scenario::default_set(self.quick);
        }
        scenarios.sort();
        scenarios.dedup();
        let (rounds, seconds, warmup_ms) = if self.quick { (1, 1, 500) } else { (3, 4, 1_000) };
        let length = Duration::from_secs(self.seconds.map_or(seconds, u64::from));
        let window = Window { warmup: Duration::from_millis(warmup_ms), length };
        Plan { scenarios, rounds: self.rounds.unwrap_or(rounds), window, is_quick: self.quick }
    }
}
