//! The command line of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::measure::Window;

/// `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// A first look within a minute: one short round of the main rows.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The row of a log that has grown, instead of the others; takes 10 GB of disk and minutes to fill.
    #[arg(long, conflicts_with = "rows")]
    pub(crate) growth: bool,
    /// Only these rows, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// How often each side is measured, in turns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// How long each measurement lasts, in seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Where the results go, as `bench.json` and `bench.svg`.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The server's program; without it, the `tidelog` beside this program.
    #[arg(long, value_name = "BIN")]
    pub(crate) tidelog: Option<PathBuf>,
    /// The directory of the Postgres programs; found by itself otherwise.
    #[arg(long, env = "TIDELOG_PG_BIN", value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Appends that the server has under way at once, and connections of the limit of push; the server's default without.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    append_workers: Option<u16>,
}

impl BenchArgs {
    /// Append lanes of the server: as many as it takes by itself, one for two cores.
    pub(crate) fn append_workers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.append_workers.map_or((cores / 2).max(1), usize::from)
    }
}

/// A row of the table, or several that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Row {
    /// 16 devices in 16 workspaces, batches of 100.
    #[value(name = "push-100")]
    Push100,
    /// 16 devices in one workspace, batches of 100.
    #[value(name = "push-100-one")]
    Push100One,
    /// The first in JSON.
    #[value(name = "push-100-json")]
    Push100Json,
    /// 16 devices in 16 workspaces, batches of 1.
    #[value(name = "push-1")]
    Push1,
    /// 64 devices in one workspace, batches of 1.
    #[value(name = "push-1-one")]
    Push1One,
    /// 64 devices in 64 workspaces, batches of 1.
    #[value(name = "push-1-64")]
    Push1SixtyFour,
    /// One client from the start, in each form.
    Pull,
    /// Eight clients at once from the start.
    #[value(name = "pull-8")]
    PullEight,
    /// Eight clients near the head.
    PullHead,
    /// New records and updates of existing ones, in 16 workspaces.
    Project,
    /// The same in one workspace.
    ProjectOne,
    /// Gateway and projector together, until nothing lags.
    Lag,
    /// `tidelog rebuild` of those 16 workspaces, alone and while devices push.
    Rebuild,
    /// The memory of the server while many push, and while one reads slowly.
    Memory,
    /// The rows of push again, with 2 ms added to every commit.
    CommitDelay,
}

impl Row {
    const QUICK: [Self; 6] = [Self::Push100, Self::Push1, Self::Push1One, Self::Pull, Self::PullHead, Self::Project];
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The rows, in the order of the table.
    pub(crate) rows: Vec<Row>,
    /// How often each side is measured.
    pub(crate) rounds: u32,
    /// How long each measurement lasts.
    pub(crate) window: Window,
    /// Whether it is for a first look only.
    pub(crate) quick: bool,
}

impl BenchArgs {
    /// What was asked for, in full.
    pub(crate) fn plan(&self) -> Plan {
        let mut rows = match (self.rows.is_empty(), self.quick) {
            (false, _) => self.rows.clone(),
            (true, true) => Row::QUICK.to_vec(),
            // Rebuilds take as long as all others together: only by name.
            (true, false) => Row::value_variants().iter().copied().filter(|row| *row != Row::Rebuild).collect(),
        };
        rows.sort();
        rows.dedup();
        let (rounds, seconds, warmup_ms) = if self.quick { (1, 1, 500) } else { (3, 4, 1_000) };
        let length = Duration::from_secs(self.seconds.map_or(seconds, u64::from));
        let window = Window { warmup: Duration::from_millis(warmup_ms), length };
        Plan { rows, rounds: self.rounds.unwrap_or(rounds), window, quick: self.quick }
    }
}
