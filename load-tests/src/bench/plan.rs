//! What a run measures: which scenarios, how often and for how long.

use std::time::Duration;

use clap::ValueEnum;

/// A scenario: one row of the result table, or several rows that come out of the same measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// Push: 16 devices in 16 workspaces, batches of 100.
    #[value(name = "push-100")]
    Push100,
    /// Push: 16 devices in one workspace, batches of 100.
    #[value(name = "push-100-one")]
    Push100One,
    /// Push in JSON: 16 devices in 16 workspaces, batches of 100.
    #[value(name = "push-100-json")]
    Push100Json,
    /// Push: 16 devices in 16 workspaces, batches of 1.
    #[value(name = "push-1")]
    Push1,
    /// Push: 64 devices in one workspace, batches of 1.
    #[value(name = "push-1-one")]
    Push1One,
    /// Push: 64 devices in 64 workspaces, batches of 1.
    #[value(name = "push-1-64")]
    Push1SixtyFour,
    /// Pull: one client reads a log from its start, once in each format.
    Pull,
    /// Pull: eight clients at once read a log from its start.
    #[value(name = "pull-8")]
    PullEight,
    /// Pull: eight clients read the last events of a log again and again.
    PullHead,
    /// Projecting: new records, then updates of them, in 16 workspaces.
    Project,
    /// Projecting: new records, then updates of them, in one workspace.
    ProjectOne,
    /// Time until the projector has caught up with pushes that ran at full speed.
    Lag,
    /// `tidelog rebuild` of 16 workspaces, alone and while devices push.
    Rebuild,
    /// Memory of the server while 64 devices push, and while one slow client streams a log.
    Memory,
    /// All push scenarios again, where each flush of the WAL waits 2 ms for other commits, like with a standby.
    CommitDelay,
    /// Overload: pushes at three times the rate that the server can store.
    #[value(name = "overload-3x")]
    OverloadThreefold,
    /// Overload: 1,500 devices of one workspace that push without a pause, whatever the answer is.
    OverloadDevices,
    /// Overload: one token on 1,500 connections that push without a pause.
    OverloadToken,
    /// Overload: 1,100 long polls whose clients have hung up.
    OverloadWaits,
    /// Overload: 300 bodies of 4 MB that never end.
    OverloadBodies,
    /// Overload: 200 connections with a body of a kilobyte that inflates to 33 MB of spaces.
    OverloadSpaces,
    /// Pushes of one op, on a disk whose flushes take 2 ms longer. Needs a C compiler.
    SlowFlush,
}

impl Scenario {
    /// The scenarios of `--quick`.
    const QUICK: [Self; 6] = [Self::Push100, Self::Push1, Self::Push1One, Self::Pull, Self::PullHead, Self::Project];

    /// The scenarios of overload.
    pub(crate) const OVERLOAD: [Self; 6] = [
        Self::OverloadThreefold,
        Self::OverloadDevices,
        Self::OverloadToken,
        Self::OverloadWaits,
        Self::OverloadBodies,
        Self::OverloadSpaces,
    ];

    /// The scenarios of a run in which none is named.
    pub(crate) fn default_set(is_quick: bool) -> Vec<Self> {
        match is_quick {
            true => Self::QUICK.to_vec(),
            // Rebuilds take as long as all others together, slow flushes need a compiler, and overload says nothing of speed.
            // They run only if they are named.
            false => {
                let is_run = |scenario: &Self| {
                    !matches!(scenario, Self::Rebuild | Self::SlowFlush) && !Self::OVERLOAD.contains(scenario)
                };
                Self::value_variants().iter().copied().filter(is_run).collect()
            }
        }
    }
}

/// How long a load runs before it is measured, and how long it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Time for caches to fill, connections to open and statements to be prepared. Nothing in it counts.
    pub(crate) warmup: Duration,
    /// Time that counts.
    pub(crate) length: Duration,
}

/// What is measured, how often and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The scenarios, in the order of the result table.
    pub(crate) scenarios: Vec<Scenario>,
    /// How often each contender is measured.
    pub(crate) rounds: u32,
    /// How long each measurement takes.
    pub(crate) window: Window,
    /// Whether this is the short run of `--quick`: smaller logs and fewer figures.
    pub(crate) is_quick: bool,
}
